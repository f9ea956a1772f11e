// A time of a span for people, to the millisecond. Used by all that show traces.

/** RFC 3339, in UTC. @param ns since 1970 */
export function isoTime(ns: bigint): string {
  return new Date(Number(ns / 1_000_000n)).toISOString();
}
