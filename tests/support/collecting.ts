// A collector as tests watch it: the latest value of each series, and what it was told.

import {
  Collector,
  type CollectorEvent,
  type CollectorOptions,
  type PoolSnapshot,
} from "../../src/collector/index.ts";
import type { TestHost } from "./host.ts";

/** The latest value of each series, as `source app service name{labels}`. */
export type Latest = Map<string, number>;

/** A collector of a host's agent, which ends with the host. */
export function collect(host: TestHost, options: Partial<CollectorOptions>) {
  const events: CollectorEvent[] = [];
  const latest: Latest = new Map();
  const gaps: string[] = [];
  const collector = new Collector({
    targets: [{ socketPath: host.socketPath }],
    intervalMs: 5,
    onSnapshot(snapshot) {
      if (snapshot.gap !== undefined) gaps.push(snapshot.gap);
      note(latest, snapshot);
    },
    onEvent: (event) => events.push(event),
    ...options,
  });
  collector.start();
  host.onEnd(() => collector.stop());
  return { collector, events, latest, gaps };
}

/** Takes down a snapshot's values. */
export function note(latest: Latest, { source, app, directory, values }: PoolSnapshot): void {
  for (const metric of directory.metrics.values()) {
    const service = directory.services.get(metric.service);
    for (const series of metric.series) {
      const index = directory.valueIndexOf(series);
      if (index < 0) continue;
      const labels = directory.labelValues(series).join(",");
      latest.set(
        `${source} ${app} ${service} ${metric.definition.name}{${labels}}`,
        values[index]!,
      );
    }
  }
}
