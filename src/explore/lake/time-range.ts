// The time that a question is about. It goes beside the SQL, so that a lake opens only the files that have some of it.

/** RFC 3339, or decimal nanoseconds since 1970. Without an end, up to now; without a beginning, all there is. */
export interface TimeRange {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

/** The time up to now. */
export function lastMs(durationMs: number, nowMs = Date.now()): TimeRange {
  return { from: new Date(Math.max(0, nowMs - durationMs)).toISOString() };
}

/** A range of nanoseconds, and a little more on both sides. */
export function around(beginNs: bigint, endNs: bigint, marginNs = 1_000_000_000n): TimeRange {
  const from = beginNs > marginNs ? beginNs - marginNs : 0n;
  return { from: String(from), to: String(endNs + marginNs) };
}
