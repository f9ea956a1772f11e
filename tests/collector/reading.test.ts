// What a collector sees of living services: by either transport, as they come and go, and after its agent was away.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomUUIDv7 } from "bun";
import { Pool } from "../../src/agent/pool/pool.ts";
import { type CollectorEvent, findSeries, MmapTransport } from "../../src/collector/index.ts";
import { allocateBuffer } from "../../src/ffi/index.ts";
import { decodeHeader, HEADER, SHM_DIR, type WirePool } from "../../src/layout/index.ts";
import { selfSigned } from "../support/certificates.ts";
import { collect, followsServices } from "../support/collecting.ts";
import { TestHost } from "../support/host.ts";
import { SMALL } from "../support/pools.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

describe.each(["mmap", "tcp"] as const)("by %s", (transport) => {
  test("a value, a new series and a new application show, and a dead writer's gauge does not", async () => {
    await using host = new TestHost();
    await host.agent();
    await followsServices(host, { transport });
  });

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
      onSnapshot: ({ slots }) => fetched.push(slots.data.length),
    });
    await until("it is read", () => fetched.length > 0);
    expect(fetched[0]).toBe(1);
  });
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
});

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
});

test("an agent that comes after its collector leaves no gap: nothing was missed", async () => {
  await using host = new TestHost();
  const { events, gaps, collector } = collect(host, { transport: "tcp" });
  await until("it is waited for", () => events.some(({ kind }) => kind === "away"));
  await host.agent();
  host.client().counter("c_total").inc();
  await until("it is read", () => collector.statistics[0]!.snapshots > 20);
  expect(gaps).toEqual([]);
  expect(collector.statistics[0]!.gaps).toBe(0);
});

test("an agent with TLS is read through its socket's data port as well", async () => {
  await using host = new TestHost();
  const pem = selfSigned();
  await host.agent({ tls: pem });
  host.client().counter("c_total").inc(6);
  const { latest } = collect(host, { tls: { ca: pem.cert }, transport: "tcp" });
  await until("it is read", () => latest.get("local shop auth c_total{}") === 6);
});

describe("a hostile pool", () => {
  /** Names what is wrong with an application's pool, once. */
  function told(events: readonly CollectorEvent[], app: string): CollectorEvent[] {
    return events.filter(({ kind, message }) => kind === "damaged" && message.startsWith(app));
  }

  test("that is no pool is reported once, takes no memory, and does not stop the others", async () => {
    await using host = new TestHost();
    await host.agent();
    host.client().counter("c_total").inc(4);
    const junk: Record<string, Uint8Array> = {
      empty: new Uint8Array(),
      short: new Uint8Array(10),
      garbage: new Uint8Array(8192).fill(7),
      zeroes: new Uint8Array(8192),
    };
    for (const [app, bytes] of Object.entries(junk)) {
      mkdirSync(join(host.poolDir, app));
      writeFileSync(join(host.poolDir, app, "pool"), bytes);
    }
    mkdirSync(join(host.poolDir, "nothing"));
    const { latest, events, collector } = collect(host, {
      targets: [{ poolDir: host.poolDir }],
      transport: "mmap",
    });
    await until("the others show", () => latest.get("local shop auth c_total{}") === 4);
    await until("all are told", () => Object.keys(junk).every((app) => told(events, app).length));
    const before = collector.statistics[0]!.snapshots;
    await until("it is looked at again", () => collector.statistics[0]!.snapshots > before + 100);
    for (const app of Object.keys(junk)) expect(told(events, app)).toHaveLength(1);
    expect(told(events, "nothing")).toEqual([]);
    expect(events.filter(({ kind }) => kind === "away")).toEqual([]);
  });

  test("whose directory is damaged is reported, and what stands before the damage is read", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const mv = host.client();
    mv.counter("a_total").inc(1);
    mv.counter("b_total").inc(2);
    mv.counter("c_total").inc(3);
    host.client({ app: "bank" }).counter("c_total").inc(4);
    await mv.ready;
    await host.shows(4, "c_total", { app: "bank" });
    const { header, mapping } = agent.pools.get("shop").pool;
    // One byte of what b_total is called.
    const at = Buffer.from(mapping.bytes(0, header.directoryOffset + 4096)).indexOf("b_total");
    mapping.bytes(at, 1).set([0xff]);
    for (const transport of ["mmap", "tcp"] as const) {
      const { latest, events } = collect(host, { transport });
      await until("it is told", () => told(events, "shop").length > 0);
      expect(told(events, "shop")[0]!.message).toMatch(/shop: the directory at byte \d+: /);
      await until("the rest shows", () => latest.get("local shop auth a_total{}") === 1);
      expect(latest.has("local shop auth b_total{}")).toBe(false);
      await until("the others show", () => latest.get("local bank auth c_total{}") === 4);
    }
  });

  test("whose agent died in the midst of a change is not read, is counted, and the others are", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    for (const app of ["shop", "bank"]) {
      const mv = host.client({ app });
      mv.counter("c_total").inc(4);
      await mv.ready;
    }
    const { mapping } = agent.pools.get("shop").pool;
    const generation = new Uint32Array(mapping.buffer, HEADER.generation, 1);
    Atomics.add(generation, 0, 1);
    for (const transport of ["mmap", "tcp"] as const) {
      const { latest, events, collector } = collect(host, { transport });
      await until("the others show", () => latest.get("local bank auth c_total{}") === 4);
      await until("it is counted", () => collector.statistics[0]!.unsettled > 2);
      expect(latest.has("local shop auth c_total{}")).toBe(false);
      expect(events.filter(({ kind }) => kind !== "connected")).toEqual([]);
      Atomics.add(generation, 0, 1);
      await until(
        "it is read when it is whole",
        () => latest.get("local shop auth c_total{}") === 4,
      );
      Atomics.add(generation, 0, 1);
    }
    Atomics.add(generation, 0, 1);
  });

  test("with numbers that are beyond it is reported, and the others are read", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    for (const app of ["shop", "bank"]) {
      const mv = host.client({ app });
      mv.counter("c_total").inc(4);
      await mv.ready;
    }
    const { mapping } = agent.pools.get("shop").pool;
    const word = new Uint32Array(mapping.buffer, HEADER.directoryWord, 1);
    const honest = word[0]!;
    word[0] = 0xffff_ffff;
    const { latest, events } = collect(host, { transport: "mmap" });
    await until("the others show", () => latest.get("local bank auth c_total{}") === 4);
    await until("it is told", () => told(events, "shop").length > 0);
    expect(told(events, "shop")[0]!.message).toContain("the directory says");
    word[0] = honest;
    await until("it is read when it is whole", () => latest.get("local shop auth c_total{}") === 4);
  });
});

test("a pool that was set aside, or is not finished, is no application", async () => {
  const app = `t${randomUUIDv7().slice(-12)}`;
  const names = [`${app}.damaged-2026-01-01T00-00-00-000Z`, `${app}.new-1234`, app];
  const pools = names.map((name) =>
    Pool.create(`${SHM_DIR}/microview.${name}`, app, { mode: 0o600, sizes: SMALL }),
  );
  const transport = new MmapTransport();
  try {
    let listed: string[] = [];
    transport.list((found) => {
      if (!(found instanceof Error)) listed = found.map((pool) => pool.app);
    });
    expect(listed.filter((each) => each.startsWith(app))).toEqual([app]);
  } finally {
    transport.close();
    for (const pool of pools) {
      pool.close();
      rmSync(pool.path);
    }
  }
});

test("looking for pools again and again takes no memory for what is none", async () => {
  await using host = new TestHost();
  mkdirSync(join(host.poolDir, "junk"));
  writeFileSync(join(host.poolDir, "junk", "pool"), new Uint8Array(8192).fill(7));
  const transport = new MmapTransport(host.poolDir);
  const look = () => transport.list(() => {});
  const mappings = () => readFileSync("/proc/self/maps", "utf8").split("junk/pool").length - 1;
  for (let i = 0; i < 50; i++) look();
  expect(mappings()).toBe(0);
  transport.close();
});

test("a mapped pool is no part of the heap, whose garbage would be left beside so much", async () => {
  await using host = new TestHost();
  await host.agentProcess("--max-pages", "1000000");
  const transport = new MmapTransport(host.poolDir);
  const memory = allocateBuffer(4096);
  Bun.gc(true);
  const { arrayBuffers } = process.memoryUsage();
  let pools: WirePool[] = [];
  transport.list((found) => {
    if (!(found instanceof Error)) pools = found;
  });
  expect(pools.map(({ app }) => app)).toEqual(["microview"]);
  const into = { address: memory.address, bytes: memory.bytes() };
  let failure: unknown = "unanswered";
  transport.read(pools[0]!, [{ offset: 0, bytes: 320 }], into, (outcome) => {
    failure = outcome;
  });
  expect(failure).toBeUndefined();
  expect(decodeHeader(into.bytes, pools[0]!.fileBytes).app).toBe("microview");
  expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(pools[0]!.fileBytes / 10);
  expect(() =>
    transport.read(pools[0]!, [{ offset: 0, bytes: 4097 }], into, () => undefined),
  ).toThrow("no room");
  transport.close();
  memory.unmap();
});

test("what was read of an agent before it was away is let go of", async () => {
  await using host = new TestHost();
  const structures: WeakRef<object>[] = [];
  const { latest, events } = collect(host, {
    transport: "tcp",
    onSnapshot: ({ structure }) => {
      if (!structures.some((known) => known.deref() === structure)) {
        structures.push(new WeakRef(structure));
      }
    },
  });
  expect(latest.size).toBe(0);
  const connections = () => events.filter(({ kind }) => kind === "connected").length;
  for (let round = 0; round < 10; round++) {
    const agent = await host.agent();
    const before = structures.length;
    await until("it is read", () => structures.length > before);
    await agent.stop();
  }
  expect(connections()).toBeGreaterThanOrEqual(10);
  await until("most of it is gone", () => {
    Bun.gc(true);
    return structures.filter((known) => known.deref() !== undefined).length <= 3;
  });
});

test("TLS and a token: read with both, refused without the token", async () => {
  await using host = new TestHost();
  const pem = selfSigned();
  const agent = await host.agent({ tls: pem, tokens: [{ token: "secret", name: "ops" }] });
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
});

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
});

test("a series that is not there is not found", async () => {
  await using host = new TestHost();
  await host.agent();
  const mv = host.client();
  mv.counter("c_total", { labels: ["a"] })
    .labels("x")
    .inc();
  await mv.ready;
  const { structure } = host.view().read();
  const name = { app: "shop", service: "auth", metric: "c_total" };
  expect(findSeries(structure, { ...name, labels: { a: "x" } })).toMatchObject({
    index: expect.any(Number),
  });
  expect(findSeries(structure, { ...name, labels: { a: "y" } })).toBeUndefined();
  expect(findSeries(structure, { ...name, service: "other", labels: { a: "x" } })).toBeUndefined();
});
