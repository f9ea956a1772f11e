// When services began to count, for all who tell it: `_created` of OpenMetrics, start times of OTLP and remote write.

import type { Directory } from "../memory/directory.ts";

/**
 * When each service's totals began, in unix ms, by the service's id: the start of its first writer. The writer that
 * keeps the counts of the dead has the earliest start of theirs, so that it is never later while a total is kept. A
 * service without writers has none: nothing of it is counted.
 *
 * It is of the service, not of the series: a series that came later had counted nothing before, so it is true of it too.
 */
export function countingSince({ writers }: Directory): Map<number, number> {
  const starts = new Map<number, number>();
  for (const { service, startedAtMs } of writers.values()) {
    // A pool may say anything.
    if (!(startedAtMs > 0 && startedAtMs < Number.POSITIVE_INFINITY)) continue;
    starts.set(service, Math.min(startedAtMs, starts.get(service) ?? startedAtMs));
  }
  return starts;
}
