// The flags --process-metrics and --process-memory.

import {
  formatDurationMs,
  LONGEST_TIMER_MS,
  parseDurationMs,
  UsageError,
} from "../../command-line/index.ts";

/** A process takes some tens of microseconds per sample; more often tells nothing more, for the kernel counts in 10 ms. */
const MIN_INTERVAL_MS = 100;

/** Looking at shared memory takes milliseconds, of the process too. */
const MIN_MEMORY_INTERVAL_MS = 5000;

/** Reads `off`, or an interval in ms. @throws UsageError */
export function parseProcessMetrics(typed: string, label: string): "off" | number {
  return offOrInterval(typed, label, MIN_INTERVAL_MS);
}

/** As {@link parseProcessMetrics}. */
export function parseProcessMemory(typed: string, label: string): "off" | number {
  return offOrInterval(typed, label, MIN_MEMORY_INTERVAL_MS);
}

function offOrInterval(typed: string, label: string, minMs: number): "off" | number {
  if (typed === "off") return "off";
  const intervalMs = parseDurationMs(typed, label);
  if (intervalMs > LONGEST_TIMER_MS) {
    throw new UsageError(
      `${label} is too long: ${typed}`,
      `the longest is ${formatDurationMs(LONGEST_TIMER_MS)}; off takes none`,
    );
  }
  if (intervalMs >= minMs) return intervalMs;
  throw new UsageError(
    `${label} is too short: ${typed}`,
    `the shortest is ${formatDurationMs(minMs)}`,
  );
}
