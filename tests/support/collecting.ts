// A collector as tests watch it: the latest value of each series, and what it was told.

import { expect } from "bun:test";
import {
  Collector,
  type CollectorEvent,
  type CollectorOptions,
  type PoolSnapshot,
} from "../../src/collector/index.ts";
import type { TestHost } from "./host.ts";
import { until } from "./wait.ts";

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
export function note(latest: Latest, { source, app, structure, values }: PoolSnapshot): void {
  for (const entry of structure.metrics) {
    const { metric, service, indexes } = entry;
    for (const [at, index] of indexes.entries()) {
      const labels = structure.labelValues(entry, at).join(",");
      latest.set(
        `${source} ${app} ${service} ${metric.definition.name}{${labels}}`,
        values[index]!,
      );
    }
  }
}

/** What a collector has to show of living services, whatever it reads by: as they come, grow and go. */
export async function followsServices(
  host: TestHost,
  options: Partial<CollectorOptions> & { transport: "mmap" | "tcp" | "verbs" },
): Promise<ReturnType<typeof collect>> {
  const first = host.client();
  const requests = first.counter("requests_total", { labels: ["route"] });
  requests.labels("/a").inc(3);
  first.gauge("depth").set(7);
  await first.ready;
  const collected = collect(host, options);
  const { latest, collector } = collected;
  const shop = "local shop auth";
  await until("the values show", () => latest.get(`${shop} requests_total{/a}`) === 3);
  expect(latest.get(`${shop} depth{}`)).toBe(7);
  expect(collector.statistics[0]!.transport).toBe(options.transport);

  requests.labels("/b").inc(2);
  await until("a new series shows", () => latest.get(`${shop} requests_total{/b}`) === 2);

  host.client({ app: "bank", service: "ledger" }).counter("booked_total").inc(5);
  await until(
    "a new application shows",
    () => latest.get("local bank ledger booked_total{}") === 5,
  );

  await first.close();
  await until("its gauge is absent", () => Number.isNaN(latest.get(`${shop} depth{}`)));
  expect(latest.get(`${shop} requests_total{/a}`)).toBe(3);
  return collected;
}
