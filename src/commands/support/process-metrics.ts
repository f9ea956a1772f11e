// The flag --process-metrics.

import { formatDurationMs, parseDurationMs } from "./duration.ts";
import { UsageError } from "./errors.ts";

/** A process takes some tens of microseconds per sample; more often tells nothing more, for the kernel counts in 10 ms. */
const MIN_INTERVAL_MS = 100;

/** Reads `off`, or an interval in ms. @throws UsageError */
export function parseProcessMetrics(typed: string, label: string): "off" | number {
  if (typed === "off") return "off";
  const intervalMs = parseDurationMs(typed, label);
  if (intervalMs >= MIN_INTERVAL_MS) return intervalMs;
  throw new UsageError(
    `${label} is too short: ${typed}`,
    `the shortest is ${formatDurationMs(MIN_INTERVAL_MS)}`,
  );
}
