// As many services, and as many label values, as somebody will have one day.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Collector, type TransportChoice } from "../../src/collector/index.ts";
import type { PoolSnapshot, Structure } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { grantedPages } from "../support/pools.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import type { ManyServices } from "./fixtures/many-services.ts";

setDefaultTimeout(patience(60_000));

const PROCESSES = 4;
const SERVICES_PER_PROCESS = 250;
const SERVICES = PROCESSES * SERVICES_PER_PROCESS;

/** First snapshot of the application that satisfies a condition, with what it needs to be read later. */
async function snapshotOf(
  host: TestHost,
  transport: TransportChoice,
  condition: (snapshot: PoolSnapshot) => boolean,
): Promise<Seen> {
  let seen: Seen | undefined;
  const { socketPath, poolDir } = host;
  const collector = new Collector({
    targets: [{ socketPath, poolDir }],
    transport,
    intervalMs: 20,
    filter: { apps: ["shop"], services: [], metrics: [] },
    onSnapshot: (snapshot) => {
      if (seen !== undefined || !condition(snapshot)) return;
      const { structure } = snapshot;
      seen = { structure, values: snapshot.values.slice() };
    },
  });
  collector.start();
  try {
    return await until("a snapshot shows it", () => seen);
  } finally {
    await collector.stop();
  }
}

interface Seen {
  structure: Structure;
  values: Float64Array;
}

/** All values of a directory's series, by service and metric. */
function byService({ structure, values }: Seen): Map<string, Record<string, number[]>> {
  const found = new Map<string, Record<string, number[]>>();
  for (const { metric, service, indexes } of structure.metrics) {
    const metrics = found.get(service) ?? {};
    found.set(service, metrics);
    for (const index of indexes) {
      metrics[metric.definition.name] = [...values.subarray(index, index + metric.slots)];
    }
  }
  return found;
}

describe("a thousand services", () => {
  test("attach at once to a busy agent, and all of them show with their values in one snapshot", async () => {
    await using host = new TestHost();
    const agent = await host.agentProcess();
    // More connections wait than its socket lets wait.
    agent.child.kill("SIGSTOP");
    const children = Array.from({ length: PROCESSES }, (_, i) => {
      const many: ManyServices = {
        socket: host.socketPath,
        first: i * SERVICES_PER_PROCESS,
        count: SERVICES_PER_PROCESS,
      };
      return host.run("tests/chaos/fixtures/many-services.ts", many);
    });
    const said = children.map((child) => new Lines(child.stdout));
    for (const each of said) expect(await each.next()).toBe("begun");
    agent.child.kill("SIGCONT");
    // Nobody was warned of anything in between.
    for (const each of said) expect(await each.next()).toBe("ready");
    for (const transport of ["mmap", "tcp"] as const) {
      const seen = await snapshotOf(
        host,
        transport,
        ({ structure }) => structure.names.services.length === SERVICES,
      );
      const services = byService(seen);
      expect(services.size).toBe(SERVICES);
      for (let i = 0; i < SERVICES; i++) {
        expect(services.get(`service-${i}`)).toEqual({
          requests_total: [i + 1],
          level: [-1 - i],
          latency: i <= 1 ? [1, 0, i] : [0, 1, i],
        });
      }
    }
    // They leave, and what they counted stays.
    for (const child of children) child.kill("SIGKILL");
    await until("all are folded", () => host.view().writers().length === 0);
    const { directory, structure, values } = host.view().read();
    expect(grantedPages(directory)).toBe(SERVICES);
    const services = byService({ structure, values });
    for (let i = 0; i < SERVICES; i++) {
      expect(services.get(`service-${i}`)).toMatchObject({ requests_total: [i + 1] });
    }
    expect(agent.log.filter(({ level }) => level === "error")).toEqual([]);
  });
});

describe("a metric with 100,000 label values", () => {
  test("gets as many as its limit allows, says so once, and disturbs no other metric", async () => {
    await using host = new TestHost();
    const limit = 10_000;
    const asked = 100_000;
    const agent = await host.agentProcess();
    const mv = host.client();
    const before = mv.counter("before_total");
    const byUser = mv.counter("by_user_total", { labels: ["user"] });
    const children = Array.from({ length: asked }, (_, i) => byUser.labels(i));
    const after = mv.counter("after_total");
    for (const child of children) child.inc(2);
    before.inc(3);
    after.inc(4);

    await until("the limit is reached", () => shown(host).length >= limit);
    const warning = await until("the client is told", () => host.warnings[0]);
    expect(warning.code).toBe("label-values-full");
    expect(warning.message).toContain("by_user_total");
    expect(warning.message).toContain("10000");
    expect(warning.hint).toContain("--max-series-per-metric");
    await host.shows(3, "before_total");
    await host.shows(4, "after_total");

    // It is asked for them again and again, refuses again, and nobody is told again.
    const refusals = async () => {
      const response = await fetch(`http://127.0.0.1:${agent.port}/metrics`);
      const line = (await response.text())
        .split("\n")
        .find((each) => each.includes('code="label-values-full"'));
      return Number(line?.split(" ").at(-1) ?? 0);
    };
    const first = await until("the refusal is counted", refusals);
    await until("they are refused again", async () => (await refusals()) > first);

    // Every child counts on, in the pool or privately; a metric that comes later has its place.
    for (const child of children) child.inc();
    expect(children.every((child) => child.value === 3)).toBe(true);
    const late = mv.counter("late_total");
    late.inc(5);
    before.inc();
    await host.shows(5, "late_total");
    await host.shows(4, "before_total");

    const values = shown(host);
    expect(values).toHaveLength(limit);
    expect(new Set(values.map(([user]) => user)).size).toBe(limit);
    expect(values.every(([, value]) => value === 3)).toBe(true);
    expect(host.warnings).toHaveLength(1);
  });
});

/** Users of the metric that has too many, with their counts, as far as they are in the pool. */
function shown(host: TestHost): [user: string, count: number][] {
  const view = host.view();
  try {
    const { directory, values } = view.read();
    const metric = [...directory.metrics.values()].find(
      ({ definition }) => definition.name === "by_user_total",
    );
    return (metric?.series ?? [])
      .filter((id) => directory.valueIndexOf(id) >= 0)
      .map((id) => [directory.labelValues(id)[0]!, values[directory.valueIndexOf(id)]!]);
  } finally {
    view.close();
  }
}
