// Times in nanoseconds since 1970, as BigInt. For all of the lake.

/** Later than any event. */
export const FOREVER_NS = (1n << 63n) - 1n;
export const NS_PER_MS = 1_000_000n;
export const DAY_NS = 86_400_000n * NS_PER_MS;

/** What the wall clock says; a millisecond is as exact as it has to be here. */
export function wallNs(): bigint {
  return BigInt(Date.now()) * NS_PER_MS;
}

/** RFC 3339, in UTC and to the millisecond. */
export function isoTime(ns: bigint): string {
  return new Date(Number(ns / NS_PER_MS)).toISOString();
}

/** The UTC day, as YYYY-MM-DD. */
export function isoDay(ns: bigint): string {
  return isoTime(ns).slice(0, 10);
}

export function laterOf(a: bigint, b: bigint): bigint {
  return a < b ? b : a;
}

export function earlierOf(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
