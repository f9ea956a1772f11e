// What a collector sees of living services: by either transport, as they come and go, and after its agent was away.

import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Collector,
  type CollectorEvent,
  type CollectorOptions,
  findSeries,
  type PoolSnapshot,
} from "../../src/collector/index.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

/** The latest value of each series, as `app service name{labels}`, by the agent it was read from. */
type Latest = Map<string, number>;

function collect(host: TestHost, options: Partial<CollectorOptions>) {
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

function note(latest: Latest, { source, app, directory, values }: PoolSnapshot): void {
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

describe.each(["mmap", "tcp"] as const)("by %s", (transport) => {
  test("a value, a new series and a new application show, and a dead writer's gauge does not", async () => {
    await using host = new TestHost();
    await host.agent();
    const first = host.client();
    const requests = first.counter("requests_total", { labels: ["route"] });
    requests.labels("/a").inc(3);
    const depth = first.gauge("depth");
    depth.set(7);
    await first.ready;
    const { latest, collector } = collect(host, { transport });
    const shop = "local shop auth";
    await until("the values show", () => latest.get(`${shop} requests_total{/a}`) === 3);
    expect(latest.get(`${shop} depth{}`)).toBe(7);
    expect(collector.statistics[0]!.transport).toBe(transport);

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
  }, 30_000);

  test("only what the filter wants is fetched", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    mv.counter("wanted_total").inc(1);
    mv.counter("other_total").inc(1);
    await mv.ready;
    const fetched: number[] = [];
    collect(host, {
      transport,
      filter: { apps: ["shop"], services: [], metrics: ["wanted_*"] },
      onSnapshot: ({ slots }) => fetched.push(slots.length),
    });
    await until("it is read", () => fetched.length > 0);
    expect(fetched[0]).toBe(1);
  }, 30_000);
});

test("several agents are read at once, each under its own name", async () => {
  await using one = new TestHost();
  await using two = new TestHost();
  const agents = [await one.agent(), await two.agent()];
  one.client().counter("c_total").inc(1);
  two.client().counter("c_total").inc(2);
  const targets = agents.map(({ port }) => ({ host: "127.0.0.1", port }));
  const { latest } = collect(one, { targets, transport: "tcp" });
  await until("both show", () =>
    agents.every(({ port }, i) => latest.get(`127.0.0.1:${port} shop auth c_total{}`) === i + 1),
  );
}, 30_000);

test("an agent that was killed leaves a gap with its reason, and is read again when it is back", async () => {
  await using host = new TestHost();
  const agent = await host.agentProcess();
  const counter = host.client().counter("c_total");
  counter.inc();
  const { latest, gaps, collector } = collect(host, { transport: "tcp" });
  await until("it is read", () => latest.get("local shop auth c_total{}") === 1);
  await agent.end("SIGKILL");
  await until("it is away", () => collector.statistics[0]!.away !== undefined);
  counter.inc();
  await host.agentProcess();
  await until("it is read again", () => latest.get("local shop auth c_total{}") === 2);
  expect(gaps).not.toEqual([]);
  expect(collector.statistics[0]!.gaps).toBe(1);
}, 30_000);

test("a pool that is garbage is reported or left out, and does not stop the others", async () => {
  await using host = new TestHost();
  await host.agent();
  host.client().counter("c_total").inc(4);
  mkdirSync(join(host.poolDir, "junk"), { recursive: true });
  writeFileSync(join(host.poolDir, "junk", "pool"), new Uint8Array(8192).fill(7));
  const { latest } = collect(host, { targets: [{ poolDir: host.poolDir }], transport: "mmap" });
  await until("the others show", () => latest.get("local shop auth c_total{}") === 4);
  expect([...latest.keys()].some((key) => key.includes("junk"))).toBe(false);
}, 30_000);

test("TLS and a token: read with both, refused without the token", async () => {
  await using host = new TestHost();
  const [cert, key] = [join(host.folder, "cert.pem"), join(host.folder, "key.pem")];
  const made = Bun.spawnSync(
    [
      "openssl",
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=localhost",
    ].concat(["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert]),
    { stderr: "pipe" },
  );
  expect(made.exitCode).toBe(0);
  const pem = { cert: await Bun.file(cert).text(), key: await Bun.file(key).text() };
  const agent = await host.agent({ tls: pem, token: "secret" });
  host.client().counter("c_total").inc(6);
  const targets = [{ host: "localhost", port: agent.port }];
  const tls = { ca: pem.cert };
  const { latest } = collect(host, { targets, tls, token: "secret", transport: "tcp" });
  const source = `localhost:${agent.port}`;
  await until("it is read", () => latest.get(`${source} shop auth c_total{}`) === 6);
  const refused = collect(host, { targets, tls, token: "wrong", transport: "tcp" });
  const told = await until("it is told", () => refused.events.find(({ kind }) => kind === "away"));
  expect(told).toMatchObject({ fatal: true });
  expect(told.message).not.toContain("wrong");
}, 30_000);

test("a slow consumer loses snapshots, which are counted, and delays nobody", async () => {
  await using host = new TestHost();
  await host.agent();
  host.client().counter("c_total").inc();
  let taken = 0;
  const { collector } = collect(host, {
    intervalMs: 1,
    buffers: 1,
    filter: { apps: ["shop"], services: [], metrics: [] },
    onSnapshot() {
      taken++;
      const end = performance.now() + 20;
      while (performance.now() < end);
    },
  });
  await until("some were dropped", () => taken > 3 && collector.statistics[0]!.overruns > 0);
}, 30_000);

test("a series that is not there is not found", async () => {
  await using host = new TestHost();
  await host.agent();
  const mv = host.client();
  mv.counter("c_total", { labels: ["a"] })
    .labels("x")
    .inc();
  await mv.ready;
  const { directory } = host.view().read();
  const name = { app: "shop", service: "auth", metric: "c_total" };
  expect(findSeries(directory, { ...name, labels: { a: "x" } })).toMatchObject({
    index: expect.any(Number),
  });
  expect(findSeries(directory, { ...name, labels: { a: "y" } })).toBeUndefined();
  expect(findSeries(directory, { ...name, service: "other", labels: { a: "x" } })).toBeUndefined();
});
