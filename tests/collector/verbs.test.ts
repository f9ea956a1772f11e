// Reading by one-sided RDMA, over a mocked library: agent and collector with their real code on both sides of it, and
// every failure that a network card can answer with. Real verbs run in tests/vm/suite.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, openSync, readSync, rmSync } from "node:fs";
import type { Agent } from "../../src/agent/agent.ts";
import { SEGMENT_BYTES } from "../../src/agent/rdma/registered-pool.ts";
import { AgentClient } from "../../src/collector/agent-client.ts";
import { findSeries } from "../../src/collector/index.ts";
import { VerbsSession } from "../../src/collector/verbs-session.ts";
import { ConnectionManager, Device, type ManagerEvent } from "../../src/ffi/index.ts";
import { HEADER, HEADER_BYTES_USED, poolPath } from "../../src/layout/index.ts";
import type { QueuePairRequest, RdmaResponse } from "../../src/rest/index.ts";
import { call as callAgent } from "../support/calls.ts";
import { collect, followsServices } from "../support/collecting.ts";
import { TestHost } from "../support/host.ts";
import { MOCK_GID, MockVerbs, NOTHING_LIVE } from "../support/mock-verbs.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

/** Bounds of a histogram of which a series takes a page. */
const WHOLE_PAGE = Array.from({ length: 500 }, (_, i) => i + 1);
const ENOMEM = 12;
const QP_ACCESS_ERROR = 3;
const COMMUNICATION_ESTABLISHED = 4;
const DEVICE_FATAL = 8;

let mock: MockVerbs;
beforeAll(() => {
  mock = new MockVerbs();
});
afterAll(() => mock[Symbol.dispose]());

/** A host whose agent serves RDMA; nothing of the library is open when it has ended. */
class RdmaHost extends TestHost {
  rdmaAgent(options: Parameters<TestHost["agent"]>[0] = {}): Promise<Agent> {
    return this.agent({ ...mock.agent(), ...options });
  }

  rest(): AgentClient {
    return new AgentClient({ socketPath: this.socketPath }, {});
  }

  async rdma(): Promise<RdmaResponse> {
    return await callAgent(this.rest(), "GET /v1/rdma", {});
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    const { live } = mock;
    mock.calls.mock_reset();
    expect(live).toEqual(NOTHING_LIVE);
  }
}

/** What a collector asks for the first of an agent's pools. */
function queuePairFor(session: string, [pool]: RdmaResponse["pools"]): QueuePairRequest {
  return {
    session,
    app: pool!.app,
    poolId: pool!.poolId,
    number: 17,
    psn: 1,
    linkLayer: "Ethernet",
    gid: MOCK_GID,
    lid: 0,
    mtu: 4096,
    reads: 1,
  };
}

describe("by verbs", () => {
  test("a value, a new series and a new application show, and a dead writer's gauge does not", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    const { events } = await followsServices(host, mock.collector());
    expect(events.find(({ kind }) => kind === "connected")?.message).toBe("read by verbs");
  });

  test("a snapshot is three READs in one post with one completion, however many writers there are", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    for (let i = 0; i < 20; i++) {
      const mv = host.client({ service: `service-${i}` });
      for (let k = 0; k < 16; k++) mv.counter(`c${k}_total`).inc(1);
      await mv.ready;
    }
    const filter = { apps: ["shop"], services: [], metrics: [] };
    const counts: { requests: number; completions: number; posts: number }[] = [];
    const { collector } = collect(host, {
      ...mock.collector(),
      filter,
      onSnapshot: () => {
        const { requests, completions } = collector.statistics[0]!.transfer;
        counts.push({ requests, completions, posts: mock.calls.mock_posts() });
      },
    });
    await until("twenty snapshots are there", () => counts.length >= 20);
    await collector.stop();
    const [before, after] = [counts[9]!, counts[19]!];
    expect(after.requests - before.requests).toBe(30);
    expect(after.completions - before.completions).toBe(10);
  });

  test("a plan of more READs than the send queue holds goes out in several posts", async () => {
    await using host = new RdmaHost();
    mock.calls.mock_limit_sends(2);
    await host.rdmaAgent();
    const mv = host.client();
    mv.counter("c_total").inc(4);
    const { latest } = collect(host, mock.collector());
    await until("the value shows", () => latest.get("local shop auth c_total{}") === 4);
  });

  test("a pool that grows by segments is read on, and shows what is new", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    const first = host.client();
    first.counter("first_total").inc(1);
    await first.ready;
    const { latest, gaps } = collect(host, mock.collector());
    await until("it is read", () => latest.get("local shop auth first_total{}") === 1);
    const pinned = (await host.rdma()).pinnedBytes;

    const wide = host.client({ service: "wide" });
    const family = wide.histogram("wide", { labels: ["n"], buckets: WHOLE_PAGE });
    const last = SEGMENT_BYTES / 4096 + 40;
    for (let n = 0; n <= last; n++) {
      // The first bucket counts who it is.
      for (let i = 0; i <= n; i++) family.labels(String(n)).observe(0);
    }
    await wide.ready;
    await until(
      "the last series shows",
      () => latest.get(`local shop wide wide{${last}}`) === last + 1,
      patience(30_000),
    );
    for (let n = 0; n <= last; n++) expect(latest.get(`local shop wide wide{${n}}`)).toBe(n + 1);
    expect((await host.rdma()).pinnedBytes).toBeGreaterThan(pinned);
    expect(gaps).toEqual([]);
  });
});

describe("a pool whose file is removed", () => {
  test("is read on in the one that takes its place, and no total steps back", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    const mv = host.client();
    const counter = mv.counter("c_total");
    await mv.ready;
    counter.inc(5);
    const seen: number[] = [];
    const of = { app: "shop", service: "auth", metric: "c_total", labels: {} };
    collect(host, {
      ...mock.collector(),
      filter: { apps: ["shop"], services: [], metrics: [] },
      onSnapshot: ({ structure, values }) => {
        const found = findSeries(structure, of);
        if (found !== undefined) seen.push(values[found.index]!);
      },
    });
    await until("it is read", () => seen.at(-1) === 5);
    const path = poolPath("shop", host.poolDir);
    rmSync(path);
    counter.inc(1);
    await until("it is read on", () => seen.at(-1) === 6);
    await until("the writer has moved", () => {
      const head = new DataView(new ArrayBuffer(HEADER_BYTES_USED));
      const fd = openSync(path, "r");
      readSync(fd, head);
      closeSync(fd);
      return head.getUint32(HEADER.elsewhere, true) === 0;
    });
    counter.inc(1);
    await until("it is read on", () => seen.at(-1) === 7);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });
});

describe("an agent that is read by RDMA", () => {
  test("says how it is reached, and lists the queue pairs", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    expect((await host.rdma()).endpoint).toEqual({
      device: "mock0",
      port: 1,
      linkLayer: "Ethernet",
      gid: MOCK_GID,
      gidType: "RoCE v2",
      lid: 0,
      mtu: 4096,
      managerPort: null,
    });
    const { latest } = collect(host, mock.collector());
    await until("it is read", () => latest.size > 0);
    expect(await callAgent(host.rest(), "GET /v1/rdma/queue-pairs", {})).toMatchObject([
      { app: "microview", token: "local", regions: 3 },
    ]);
  });

  test("pins what is in use and one segment, and nothing while nobody reads", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    const mv = host.client();
    mv.counter("c_total").inc();
    await mv.ready;
    expect(mock.live.pinnedBytes).toBe(0);
    const { latest, collector } = collect(host, {
      ...mock.collector(),
      filter: { apps: ["shop"], services: [], metrics: [] },
    });
    await until("it is read", () => latest.size > 0);
    // Header, directory, pages: of each what is in use, up to the end of a segment.
    expect((await host.rdma()).pinnedBytes).toBe(4096 + (64 << 10) + SEGMENT_BYTES);
    await collector.stop();
    await until("nothing is pinned", async () => (await host.rdma()).pinnedBytes === 0);
    expect((await host.rdma()).queuePairs).toBe(0);
  });

  test("frees the queue pairs of a collector that vanishes", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    const child = host.own(
      Bun.spawn(
        [
          process.execPath,
          "-e",
          `const w = new WebSocket("ws+unix://${host.socketPath}:/v1/rdma/session");
           w.onmessage = ({ data }) => console.log(data);`,
        ],
        { stdout: "pipe" },
      ),
    );
    const { value } = await child.stdout.getReader().read();
    const { session } = JSON.parse(new TextDecoder().decode(value)) as { session: string };
    const { pools } = await host.rdma();
    const request = queuePairFor(session, pools);
    await callAgent(host.rest(), "POST /v1/rdma/queue-pairs", {}, request);
    expect((await host.rdma()).queuePairs).toBe(1);
    child.kill("SIGKILL");
    await until("its queue pair is gone", async () => (await host.rdma()).queuePairs === 0);
    expect(mock.live.queuePairs).toBe(0);
  });

  test("refuses more queue pairs than a token may have, and those of a session that is over", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent(mock.agent({ queuePairs: 1 }));
    const rest = host.rest();
    const { pools } = await host.rdma();
    const session = await VerbsSession.open(rest);
    const request = queuePairFor(session.id, pools);
    const connect = (some: object = {}) =>
      callAgent(rest, "POST /v1/rdma/queue-pairs", {}, { ...request, ...some });
    const made = await connect();
    expect(connect()).rejects.toThrow("--max-queue-pairs");
    await callAgent(rest, "DELETE /v1/rdma/queue-pairs/:id", { id: made.id });
    expect(connect({ poolId: 5 })).rejects.toThrow("another by now");
    expect(connect({ linkLayer: "InfiniBand" })).rejects.toThrow("on Ethernet");
    expect(connect({ app: "none" })).rejects.toThrow("no application");
    await connect();
    session.close();
    await until("the session is over", async () => (await host.rdma()).queuePairs === 0);
    expect(connect()).rejects.toThrow("no such session");
  });

  test("ends a queue pair that its device reports, counts it, and others are read on", async () => {
    await using host = new RdmaHost();
    const agent = await host.rdmaAgent();
    const one = collect(host, mock.collector());
    await until("it is read", () => one.latest.size > 0);
    const session = await VerbsSession.open(host.rest());
    host.onEnd(() => session.close());
    const { pools } = await host.rdma();
    const made = await callAgent(
      host.rest(),
      "POST /v1/rdma/queue-pairs",
      {},
      queuePairFor(session.id, pools),
    );
    expect((await host.rdma()).queuePairs).toBe(2);
    // Not all that a device tells of a queue pair is bad.
    mock.calls.mock_async_event(COMMUNICATION_ESTABLISHED, made.number);
    agent.scan();
    expect((await host.rdma()).queuePairs).toBe(2);
    mock.calls.mock_async_event(QP_ACCESS_ERROR, made.number);
    await until("it is ended", async () => (await host.rdma()).queuePairs === 1);
    expect(host.log.some(({ message }) => message.startsWith("a queue pair is ended"))).toBe(true);
    const refused = "local microview agent microview_agent_rdma_refused_total{}";
    await until("it is counted, and read", () => one.latest.get(refused) === 1);
    expect(one.gaps).toEqual([]);
  });

  test("whose device fails says so, and serves again when there is one", async () => {
    await using host = new RdmaHost();
    const agent = await host.rdmaAgent();
    const { latest, events } = collect(host, mock.collector());
    await until("it is read", () => latest.size > 0);
    mock.calls.mock_async_event(DEVICE_FATAL, 1);
    await until("it is lost", () =>
      host.log.some(({ message }) => message.startsWith("RDMA is lost")),
    );
    expect((await host.rdma()).reason).toBe("the device failed or was removed");
    await until("the collector notices", () => events.some(({ kind }) => kind === "away"));
    // The agent looks for a device again and again; here by the clock that it is given.
    const start = Date.now();
    mock.calls.mock_present(0);
    for (const s of [10, 20, 30]) agent.scan(start + s * 1000);
    expect((await host.rdma()).reason).toContain("cannot open the RDMA device");
    mock.calls.mock_present(1);
    agent.scan(start + 40_000);
    expect((await host.rdma()).endpoint).not.toBeNull();
    const connected = () => events.filter(({ kind }) => kind === "connected").length;
    await until("it is read again", () => connected() === 2);
  });

  test("lets go of memory that is not in use any more, and is read on meanwhile", async () => {
    await using host = new RdmaHost();
    const agent = await host.rdmaAgent({ limits: { seriesPerMetric: 1e6 } });
    const stays = host.client({ service: "stays" });
    const counter = stays.gauge("stays");
    counter.set(3);
    await stays.ready;
    const wide = host.client({ service: "wide" });
    const family = wide.gauge("wide", { labels: ["n"] });
    const pages = SEGMENT_BYTES / 4096 + 10;
    for (let n = 0; n < pages * 504; n++) family.labels(String(n)).set(n);
    const pool = agent.pools.get("shop");
    // Which may take longer than a service waits at its start.
    await until("all have their pages", () => pool.pagesUsed > pages);
    const filter = { apps: ["shop"], services: ["stays"], metrics: [] };
    let value: number | undefined;
    const gaps: string[] = [];
    const { collector } = collect(host, {
      ...mock.collector(),
      filter,
      onSnapshot({ structure, values, gap }) {
        if (gap !== undefined) gaps.push(gap);
        value =
          values[
            findSeries(structure, { app: "shop", service: "stays", metric: "stays" })?.index ?? -1
          ];
      },
    });
    await until("it is read", () => value === 3);
    // An agent that shares its thread with half a million series may not answer in time.
    const pinned = () => until("the agent answers", async () => (await host.rdma()).pinnedBytes);
    const before = await pinned();
    expect(before).toBeGreaterThan(2 * SEGMENT_BYTES);
    await wide.close();
    await until("its pages are free", () => pool.pagesUsed < 10);

    // By the clock that it is given: noticed, given up, let go.
    const start = Date.now();
    for (const s of [0, 15, 30]) {
      agent.scan(start + s * 1000);
      // Stands for the ten seconds that the collector has to ask what it may read from now on.
      const { snapshots } = collector.statistics[0]!;
      await until("it is read on", () => collector.statistics[0]!.snapshots > snapshots + 200);
    }
    expect(await pinned()).toBeLessThan(before - SEGMENT_BYTES / 2);
    counter.set(4);
    await until("it is read on", () => value === 4);
    expect(gaps).toEqual([]);
  });
});

describe("by rdma_cm", () => {
  const listening = () => mock.agent({ manager: { host: "192.0.2.1", port: 0 } });

  test("an agent that listens there is read, and its queue pairs end with the collector", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent(listening());
    const mv = host.client();
    mv.counter("c_total").inc(3);
    const { latest, collector } = collect(host, mock.collector({ manager: true }));
    await until("it is read", () => latest.get("local shop auth c_total{}") === 3);
    expect((await host.rdma()).queuePairs).toBe(2);
    await collector.stop();
    await until("nothing of it is left", async () => (await host.rdma()).queuePairs === 0);
  });

  test("an agent that restarts is read on", async () => {
    await using host = new RdmaHost();
    const agent = await host.rdmaAgent(listening());
    const { latest, events } = collect(host, mock.collector({ manager: true }));
    await until("it is read", () => latest.size > 0);
    await agent.stop();
    await host.rdmaAgent(listening());
    const connected = () => events.filter(({ kind }) => kind === "connected").length;
    await until("it is read again", () => connected() === 2);
  });

  test("an agent that does not listen there says what flag it wants", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    const { events } = collect(host, mock.collector({ manager: true }));
    await until("it is told", () => events.some(({ kind }) => kind === "away"));
    expect(events[0]?.message).toContain("--rdma-cm-port");
  });

  test("a collector without librdmacm says so, and holds nothing", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent(listening());
    const source = { ...mock.source, manager: "/no/such/librdmacm.so.1" };
    const { events } = collect(host, mock.collector({ manager: true, source }));
    await until("it is told", () => events.some(({ kind }) => kind === "away"));
    expect(events.find(({ kind }) => kind === "away")?.message).toContain("librdmacm");
    // Only the agent's own.
    expect(mock.live.contexts).toBe(1);
  });

  test("a connection without a ticket is refused, and a ticket that nobody shows expires", async () => {
    await using host = new RdmaHost();
    const agent = await host.rdmaAgent(listening());
    const { endpoint, pools } = await host.rdma();
    const session = await VerbsSession.open(host.rest());
    host.onEnd(() => session.close());
    const made = await callAgent(
      host.rest(),
      "POST /v1/rdma/queue-pairs",
      {},
      {
        ...queuePairFor(session.id, pools),
        manager: true,
      },
    );
    expect(made.manager?.ticket).toMatch(/^[0-9a-f-]{36}$/);

    const device = Device.open("mock0", 1, mock.source.library);
    const manager = ConnectionManager.open(mock.source.manager);
    host.onEnd(() => {
      manager.close();
      device.close();
    });
    const pair = device.openDomain().queuePair(1);
    const link = manager.resolve("192.0.2.1", endpoint!.managerPort!);
    let answer: ManagerEvent | undefined;
    await until("it is refused", () => {
      const event = manager.event();
      if (event?.kind === "resolved") {
        manager.connect(link, pair, { reads: 1, timeout: 14, retries: 7, data: "guessed" });
      } else if (event !== undefined) {
        answer = event;
      }
      return answer;
    });
    expect(answer).toMatchObject({ kind: "failed", reason: expect.stringContaining("refuses") });
    expect(host.log.find(({ code }) => code === "no-ticket")).toMatchObject({
      ...{ level: "warn", message: "a call was refused", audit: "refused", transport: "rdma" },
    });

    agent.scan(Date.now() + 60_000);
    expect((await host.rdma()).queuePairs).toBe(0);
  });
});

describe("where RDMA cannot be had", () => {
  test("an agent without a device says so once, and is read over tcp", async () => {
    await using host = new RdmaHost();
    rmSync(`${mock.sysfs}/mock0`, { recursive: true });
    try {
      await host.rdmaAgent();
      const said = host.log.filter(({ message }) => message.includes("cannot read by RDMA"));
      expect(said).toMatchObject([{ level: "info", reason: "this host has no RDMA device" }]);
      const { events } = collect(host, mock.collector());
      await until("it is refused", () => events.length > 0);
      expect(events[0]).toMatchObject({
        kind: "away",
        message: "cannot read by RDMA: this host has no RDMA device",
      });
    } finally {
      mock = new MockVerbs();
    }
  });

  test("an agent without rdma-core says so, also when a device was named", async () => {
    await using host = new RdmaHost();
    const source = { ...mock.source, library: "/no/such/libibverbs.so.1" };
    await host.rdmaAgent(mock.agent({ source, port: { device: "mock0" } }));
    expect(host.log.find(({ message }) => message.includes("cannot read by RDMA"))).toMatchObject({
      level: "warn",
      reason: expect.stringContaining("cannot load rdma-core"),
    });
  });

  test("an agent that may not lock memory says what to raise", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    mock.calls.mock_limit_pinned(100_000);
    const { events } = collect(host, mock.collector());
    await until("it is refused", () => events.some(({ kind }) => kind === "away"));
    expect(events.find(({ kind }) => kind === "away")?.message).toContain("ulimit -l");
    expect(host.log.some(({ hint }) => String(hint).includes("ulimit -l"))).toBe(true);
  });

  test("an agent with --rdma off says so", async () => {
    await using host = new RdmaHost();
    await host.agent();
    expect((await host.rdma()).reason).toBe("it runs with --rdma off");
    expect(VerbsSession.open(host.rest())).rejects.toThrow("no RDMA session");
  });
});

describe("a READ that fails", () => {
  test("because the agent does not answer makes the agent away, and a gap when it is back", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    const mv = host.client();
    const counter = mv.counter("c_total");
    counter.inc(1);
    const { latest, gaps, events } = collect(host, mock.collector());
    const value = () => latest.get("local shop auth c_total{}");
    await until("it is read", () => value() === 1);
    mock.calls.mock_unreachable(1);
    await until("it is away", () => events.some(({ kind }) => kind === "away"));
    expect(events.find(({ kind }) => kind === "away")?.message).toContain("does not answer");
    counter.inc(1);
    mock.calls.mock_unreachable(0);
    await until("it is read again", () => value() === 2);
    expect(gaps.length).toBeGreaterThan(0);
  });

  test("again and again, after the agent was reached each time, is told once", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    mock.calls.mock_unreachable(1);
    const { events } = collect(host, mock.collector());
    const kinds = (kind: string) => events.filter((each) => each.kind === kind).length;
    await until("it was tried three times", () => kinds("connected") >= 3);
    expect(kinds("away")).toBe(1);
  });

  test("because its own queue pair broke does not stop the pools beside it for long", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    host.client().counter("c_total").inc(1);
    host.client({ app: "bank" }).counter("d_total").inc(1);
    const { latest } = collect(host, mock.collector());
    const both = () =>
      latest.get("local shop auth c_total{}") === 1 &&
      latest.get("local bank auth d_total{}") === 1;
    await until("both are read", both);
    const pairs = await callAgent(host.rest(), "GET /v1/rdma/queue-pairs", {});
    mock.calls.mock_break(pairs.find(({ app }) => app === "shop")!.remoteNumber);
    latest.clear();
    await until("both are read again", both);
  });

  test("while the collector's memory may not be pinned is said with what to raise", async () => {
    await using host = new RdmaHost();
    await host.rdmaAgent();
    // The header is read into memory of its own first; it is the snapshot's memory that fails.
    const { events } = collect(host, { ...mock.collector(), intervalMs: 20 });
    await until("it is read", () => events.some(({ kind }) => kind === "connected"));
    mock.failNext("reg_mr", ENOMEM, 3);
    host.client().counter("c_total").inc(1);
    await until("it is told", () => events.some(({ kind }) => kind === "away"));
    expect(events.find(({ kind }) => kind === "away")?.message).toMatch(/not enough memory/);
  });
});

test("an agent that restarts is read on, with the gap marked and nothing counted twice", async () => {
  await using host = new RdmaHost();
  const agent = await host.rdmaAgent();
  const mv = host.client();
  const counter = mv.counter("c_total");
  counter.inc(5);
  await mv.ready;
  const { latest, gaps, events } = collect(host, mock.collector());
  const value = () => latest.get("local shop auth c_total{}");
  await until("it is read", () => value() === 5);
  await agent.stop();
  await until("it is away", () => events.some(({ kind }) => kind === "away"));
  counter.inc(2);
  await host.rdmaAgent();
  await until("it is read again", () => value() === 7);
  expect(gaps.length).toBeGreaterThan(0);
});

test("READs that are under way when a collector stops fill no memory afterwards", async () => {
  await using host = new RdmaHost();
  await host.rdmaAgent();
  const { latest, collector } = collect(host, mock.collector());
  await until("it is read", () => latest.size > 0);
  mock.calls.mock_hold(1);
  const posts = mock.calls.mock_posts();
  await until("a READ waits", () => mock.calls.mock_posts() > posts);
  await collector.stop();
  mock.calls.mock_hold(0);
  await until("nothing of it is left", async () => (await host.rdma()).queuePairs === 0);
});
