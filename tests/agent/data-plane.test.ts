// The binary read protocol, spoken rightly and wrongly. Whatever comes in, the agent answers what is right, hangs up
// on what is not, and serves the others on.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Agent } from "../../src/agent/agent.ts";
import { DataPlane } from "../../src/agent/serve/data-plane.ts";
import { DATA_COUNTER_COUNT, DATA_COUNTERS } from "../../src/agent/serve/data-protocol.ts";
import { monotonicNs, Poll } from "../../src/ffi/index.ts";
import {
  decodeHeader,
  decodeState,
  encodeHello,
  HEADER_BYTES_USED,
  HEADER_LIVE_BYTES,
  HEADER_LIVE_OFFSET,
  OP,
  PAGE_BYTES,
  type PoolHeader,
  type PoolState,
  STATUS,
  WIRE_LIMITS,
  WIRE_MAGIC,
  WIRE_VERSION,
} from "../../src/layout/index.ts";
import { AgentProcess, TestHost } from "../support/host.ts";
import { patienceNow } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { request, WireClient } from "../support/wire-client.ts";

/** An agent with one application, in which one counter stands at 42. */
async function serving(
  host: TestHost,
  options: Parameters<TestHost["agent"]>[0] = {},
): Promise<Agent> {
  const agent = await host.agent(options);
  const mv = host.client();
  mv.counter("requests_total").inc(42);
  await mv.ready;
  return agent;
}

/** The header and state of a pool, read over the wire. */
async function shape(client: WireClient, id: number): Promise<PoolHeader & PoolState> {
  const { body } = await client.read(id, [0, HEADER_BYTES_USED]);
  const header = decodeHeader(body, Number.MAX_SAFE_INTEGER);
  const live = body.subarray(HEADER_LIVE_OFFSET, HEADER_LIVE_OFFSET + HEADER_LIVE_BYTES);
  return { ...header, ...decodeState(live, header) };
}

/** Asks as any collector would, and finds the counter. */
async function isServed(agent: Agent | AgentProcess, token = ""): Promise<void> {
  using client = new WireClient(agent.dataPort);
  expect(await client.hello(token)).toBe(STATUS.ok);
  const { id } = await client.pool("shop");
  const { pagesOffset } = await shape(client, id);
  const { status, body } = await client.read(id, [pagesOffset + 64, 8]);
  expect(status).toBe(STATUS.ok);
  expect(f64(body)).toBe(42);
}

/** What the agent has counted of its data port. */
function counted(host: TestHost, name: string): number {
  return host.view("microview").value("agent", `microview_agent_data_${name}`) ?? 0;
}

function f64(bytes: Uint8Array, at = 0): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(at, true);
}

function u32(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

describe("a collector that speaks the protocol", () => {
  test("is told the pools, and reads ranges one after the other", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using client = new WireClient(agent.dataPort);
    expect(await client.hello()).toBe(STATUS.ok);
    const pools = await client.list();
    expect(pools.map(({ app }) => app).sort()).toEqual(["microview", "shop"]);
    const { id, poolId, fileBytes } = await client.pool("shop");
    const header = await shape(client, id);
    expect([header.app, header.poolId, header.fileBytes]).toEqual(["shop", poolId, fileBytes]);
    const { body, status } = await client.read(
      id,
      [header.pagesOffset, 4],
      [0, 7],
      [header.pagesOffset + 64, 8],
    );
    expect(status).toBe(STATUS.ok);
    expect(new TextDecoder().decode(body.subarray(0, 11))).toBe("MVPGMICROVW");
    expect(f64(body, 11)).toBe(42);
    expect((await client.read(id)).body.length).toBe(0);
    expect((await client.read(id, [64, 0])).status).toBe(STATUS.ok);
  });

  test("hears of a new application with the next answer", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using client = new WireClient(agent.dataPort);
    await client.hello();
    const { id } = await client.pool("shop");
    const before = await client.read(id, [0, 8]);
    const mv = host.client({ app: "bank" });
    mv.counter("a_total");
    await mv.ready;
    await until("the generation of the pools moves", async () => {
      return (await client.read(id, [0, 8])).poolsGeneration > before.poolsGeneration;
    });
    expect((await client.list()).map(({ app }) => app)).toContain("bank");
  });

  test("may send a hundred requests at once, and gets the answers in their order", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using client = new WireClient(agent.dataPort);
    const tags = Array.from({ length: 100 }, (_, i) => i * 7 + 1);
    const parts = [encodeHello(""), ...tags.map((tag) => request(OP.read, 99, [[0, 8]], tag))];
    client.send(Buffer.concat(parts));
    expect((await client.take(8)).readUInt32LE(0)).toBe(STATUS.ok);
    for (const tag of tags) {
      expect(await client.answer()).toMatchObject({ tag, status: STATUS.noSuchPool });
    }
    const { id } = await client.pool("shop");
    client.send(Buffer.concat(tags.map((tag) => request(OP.read, id, [[0, tag]], tag))));
    for (const tag of tags) {
      const { body, ...answer } = await client.answer();
      expect([answer.tag, answer.status, body.length]).toEqual([tag, STATUS.ok, tag]);
    }
  });

  test("may send byte by byte", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using client = new WireClient(agent.dataPort);
    client.socket.setNoDelay(true);
    const bytes = Buffer.concat([
      encodeHello(""),
      request(OP.list, 0, [], 5),
      request(OP.read, 99, [[0, 8]], 6),
    ]);
    for (const byte of bytes) {
      client.send(Uint8Array.of(byte));
      await Promise.resolve();
    }
    expect((await client.take(8)).readUInt32LE(0)).toBe(STATUS.ok);
    expect((await client.answer()).tag).toBe(5);
    expect((await client.answer()).tag).toBe(6);
  });

  test("that reads slowly is waited for, holds nobody up, and gets everything", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using slow = new WireClient(agent.dataPort);
    await slow.hello();
    const { id } = await slow.pool("shop");
    slow.socket.pause();
    // 16 MiB each: more than any socket takes by itself.
    const ranges = new Array(4096).fill([0, PAGE_BYTES]) as [number, number][];
    const before = process.memoryUsage.rss();
    for (let tag = 1; tag <= 8; tag++) slow.send(request(OP.read, id, ranges, tag));
    await until("it is being served", () => counted(host, "sent_bytes_total") >= 16 << 20);
    for (let i = 0; i < 5; i++) await isServed(agent);
    // The response that waits lies nowhere but in the pool.
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 << 20);
    slow.socket.resume();
    for (let tag = 1; tag <= 8; tag++) {
      const { body, ...answer } = await slow.answer();
      expect([answer.tag, answer.status, body.length]).toEqual([tag, STATUS.ok, 16 << 20]);
      expect(new TextDecoder().decode(body.subarray(-PAGE_BYTES).subarray(0, 7))).toBe("MICROVW");
    }
  });

  test("gets all of a long answer beside two others that ask for as much, whose turns are no whole parts of a round", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const clients = Array.from({ length: 3 }, () => new WireClient(agent.dataPort));
    for (const client of clients) {
      host.onEnd(() => client[Symbol.dispose]());
      expect(await client.hello()).toBe(STATUS.ok);
    }
    const { id } = await clients[0]!.pool("shop");
    const { pagesOffset } = await shape(clients[0]!, id);
    const ranges = Array.from(
      { length: 4096 },
      () => [pagesOffset, PAGE_BYTES] as [number, number],
    );
    // Again and again, so that all three are ready at one moment.
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(clients.map((client) => client.read(id, ...ranges)));
      const lengths = answers.map(({ status, body }) => [status, body.length]);
      expect(lengths).toEqual(Array(3).fill([STATUS.ok, 4096 * PAGE_BYTES]));
    }
  });

  test("that hangs up in the midst of its answer is forgotten", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const ranges = new Array(4096).fill([0, PAGE_BYTES]) as [number, number][];
    for (let i = 0; i < 3; i++) {
      using client = new WireClient(agent.dataPort);
      await client.hello();
      const { id } = await client.pool("shop");
      client.socket.pause();
      client.send(request(OP.read, id, ranges, 1));
      await until("it is being served", () => counted(host, "connections") === 1);
      client.socket.resetAndDestroy();
      await until("it is forgotten", () => counted(host, "connections") === 0);
    }
    await isServed(agent);
  });
});

describe("a range", () => {
  test("is answered only where something was handed out", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using client = new WireClient(agent.dataPort);
    await client.hello();
    const { id } = await client.pool("shop");
    const pool = await shape(client, id);
    const { directoryOffset: first, directoryCapacity, pagesOffset, fileBytes } = pool;
    const pagesEnd = pagesOffset + pool.pagesHighWater * PAGE_BYTES;
    const directoryEnd = first + pool.directoryBytes;
    const right: [number, number][] = [
      [0, PAGE_BYTES],
      [PAGE_BYTES - 1, 1],
      [first, pool.directoryBytes],
      [directoryEnd - 1, 1],
      [pagesOffset, pagesEnd - pagesOffset],
    ];
    const wrong: [number, number][] = [
      [0, PAGE_BYTES + 1],
      [PAGE_BYTES - 1, 2],
      [first - 1, 2],
      [first, pool.directoryBytes + 1],
      [directoryEnd, 1],
      [first + directoryCapacity, 8],
      [pool.journalOffset, 8],
      [pagesOffset - 1, 2],
      [pagesOffset, pagesEnd - pagesOffset + 1],
      [pagesEnd, 1],
      [fileBytes - 8, 8],
      [fileBytes, 8],
      [0, fileBytes],
      [0, 2 ** 32],
      [2 ** 32, 8],
      [2 ** 53, 8],
      [2 ** 63, 8],
      [2 ** 64 - 2048, 4096],
      [8, 2 ** 64 - 2048],
      [pagesOffset, 2 ** 64 - 2048],
    ];
    for (const range of right) {
      const { status, body } = await client.read(id, range);
      expect([range, status, body.length]).toEqual([range, STATUS.ok, range[1]]);
    }
    for (const range of wrong) {
      const { status, body } = await client.read(id, range);
      expect([range, status, body.length]).toEqual([range, STATUS.outOfRange, 0]);
      // One that is wrong among others that are right is no answer either.
      expect((await client.read(id, [0, 8], range, [0, 8])).status).toBe(STATUS.outOfRange);
    }
    await isServed(agent);
  });

  test("of anything at all is answered, and never takes the agent down", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using client = new WireClient(agent.dataPort);
    await client.hello();
    const { id } = await client.pool("shop");
    const word = fc.oneof(
      fc.nat(),
      fc.maxSafeNat(),
      fc.nat({ max: 10_000 }),
      fc.double({ min: 0, max: 2 ** 64 - 4096, noNaN: true }),
    );
    const range = fc.tuple(word.map(Math.floor), word.map(Math.floor));
    await fc.assert(
      fc.asyncProperty(
        fc.array(range, { maxLength: 20 }),
        fc.integer({ min: id - 1, max: id + 1 }),
        async (ranges, pool) => {
          const { status, body } = await client.read(pool, ...ranges);
          const total = ranges.reduce((sum, [, bytes]) => sum + bytes, 0);
          expect([STATUS.ok, STATUS.outOfRange, STATUS.noSuchPool]).toContain(status as 0);
          expect(body.length).toBe(status === STATUS.ok ? total : 0);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("of more bytes than a request may ask for is refused", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using client = new WireClient(agent.dataPort);
    await client.hello();
    const { id } = await client.pool("shop");
    // Pages that are there, asked for so often that the sum is too much.
    const many = new Array(WIRE_LIMITS.rangesPerRequest).fill([0, PAGE_BYTES]) as [
      number,
      number,
    ][];
    expect(many.length * PAGE_BYTES).toBeLessThan(WIRE_LIMITS.bytesPerRequest);
    expect((await client.read(id, ...many)).status).toBe(STATUS.ok);
    const mv = host.client({ service: "large" });
    for (let i = 0; i < 504 * 80; i++) mv.counter(`c${i}`);
    await mv.ready;
    const { pagesOffset, pagesHighWater } = await shape(client, id);
    const all: [number, number] = [pagesOffset, pagesHighWater * PAGE_BYTES];
    const answer = await client.read(id, ...new Array<[number, number]>(4096).fill(all));
    expect(answer.status).toBe(STATUS.outOfRange);
  });
});

describe("a stranger", () => {
  test("who says anything but hello is told so, counted, and hung up on", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const hellos = [
      u32(0, 0, 0),
      u32(WIRE_MAGIC + 1, WIRE_VERSION, 0),
      u32(WIRE_MAGIC, WIRE_VERSION + 2, 0),
      u32(WIRE_MAGIC, 0, 0),
      u32(WIRE_MAGIC, 0, 0),
      u32(WIRE_MAGIC, WIRE_VERSION, WIRE_LIMITS.tokenBytes + 1),
      u32(WIRE_MAGIC, WIRE_VERSION, 0xffff_ffff),
      new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ];
    for (const hello of hellos) {
      using client = new WireClient(agent.dataPort);
      client.send(hello);
      const said = await client.end();
      expect([said.length, said.readUInt32LE(0)]).toEqual([8, STATUS.malformed]);
    }
    await until("they are counted", () => counted(host, "malformed_total") === hellos.length);
    await until("they are forgotten", () => counted(host, "connections") === 0);
    await isServed(agent);
  });

  test("who asks for what does not exist is told so, counted, and hung up on", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const requests = [
      u32(0, 0, 0, 1),
      u32(3, 0, 0, 1),
      u32(0xffff_ffff, 0, 0, 1),
      u32(OP.read, 1, WIRE_LIMITS.rangesPerRequest + 1, 1),
      u32(OP.read, 1, 0xffff_ffff, 1),
      u32(OP.list, 0, 0xffff_ffff, 1),
    ];
    for (const bytes of requests) {
      using client = new WireClient(agent.dataPort);
      await client.hello();
      client.send(bytes);
      const { status, tag, body } = await client.answer();
      expect([status, tag, body.length]).toEqual([STATUS.malformed, 1, 0]);
      await client.end();
    }
    await until("they are counted", () => counted(host, "malformed_total") === requests.length);
    await isServed(agent);
  });

  test("who sends random bytes, in any pieces, at any point, is got rid of", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 3000 });
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(bytes, { minLength: 1, maxLength: 5 }),
        async (greets, pieces) => {
          using client = new WireClient(agent.dataPort);
          if (greets) await client.hello();
          for (const piece of pieces) client.send(piece);
          client.socket.end();
          await client.end();
        },
      ),
      { numRuns: 100 },
    );
    await isServed(agent);
    await until("all are forgotten", () => counted(host, "connections") === 0);
  });

  test("who says half of something and no more is in nobody's way", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const halves = [
      new Uint8Array(),
      encodeHello("").subarray(0, 5),
      u32(WIRE_MAGIC, WIRE_VERSION, 100),
    ];
    const clients = halves.map((half) => {
      const client = new WireClient(agent.dataPort);
      client.send(half);
      return client;
    });
    const greeted = new WireClient(agent.dataPort);
    await greeted.hello();
    greeted.send(request(OP.read, 1, [[0, 8]], 1).subarray(0, 20));
    await until("they are connected", () => counted(host, "connections") === 4);
    await isServed(agent);
    for (const client of [...clients, greeted]) client[Symbol.dispose]();
    await until("they are forgotten", () => counted(host, "connections") === 0);
  });
});

describe("silence", () => {
  test("ends a connection that has not said hello in time, and no other", async () => {
    const poll = new Poll();
    const counters = new Float64Array(DATA_COUNTER_COUNT);
    const plane = new DataPlane(poll, {
      host: "127.0.0.1",
      port: 0,
      maxConnections: 9,
      maxConnectionsEach: 9,
      wrongPerS: 5,
      idleMs: 10_000,
      refused: () => {},
      counters,
    });
    const serve = () => {
      poll.wait(monotonicNs(), (fd, events) => plane.ready(fd, events));
      plane.expire(monotonicNs());
    };
    using silent = new WireClient(plane.port);
    using greeted = new WireClient(plane.port);
    greeted.send(encodeHello(""));
    await until("one is greeted", () => {
      serve();
      return counters[DATA_COUNTERS.connections] === 2 && greeted.received === 8;
    });
    expect(plane.nextTimeoutNs).toBeGreaterThan(monotonicNs());
    plane.expire(plane.nextTimeoutNs - 1);
    expect(counters[DATA_COUNTERS.connections]).toBe(2);
    plane.expire(plane.nextTimeoutNs);
    expect(counters[DATA_COUNTERS.connections]).toBe(1);
    expect(plane.nextTimeoutNs).toBe(-1);
    expect((await silent.end()).length).toBe(0);
    greeted.send(request(OP.list, 0, [], 1));
    await until("the other is served", () => {
      serve();
      return greeted.received > 8;
    });
    plane.close();
    poll.close();
  });
});

describe("a token", () => {
  test("is asked for: without it, or with a wrong one, nothing is served", async () => {
    await using host = new TestHost();
    const agent = await serving(host, { tokens: [{ token: "right-token", name: "ops" }] });
    const wrong = [
      "",
      "wrong",
      "right-toke",
      "right-token2",
      "RIGHT-TOKEN",
      "x".repeat(WIRE_LIMITS.tokenBytes),
    ];
    for (const token of wrong) {
      using client = new WireClient(agent.dataPort);
      expect(await client.hello(token)).toBe(STATUS.denied);
      client.send(request(OP.list, 0, [], 1));
      expect((await client.end()).length).toBe(0);
    }
    await until("they are counted", () => counted(host, "denied_total") === wrong.length);
    await isServed(agent, "right-token");
  });

  test("that comes with requests behind it gives them nothing when it is wrong", async () => {
    await using host = new TestHost();
    const agent = await serving(host, { tokens: [{ token: "right-token", name: "ops" }] });
    using client = new WireClient(agent.dataPort);
    client.send(Buffer.concat([encodeHello("wrong"), request(OP.list, 0, [], 1)]));
    const said = await client.end();
    expect([said.length, said.readUInt32LE(0)]).toEqual([8, STATUS.denied]);
  });

  test("that nobody asks for is no hindrance", async () => {
    await using host = new TestHost();
    await isServed(await serving(host), "whatever");
  });
});

describe("the limit on connections", () => {
  test("is told to those beyond it, counted, and free again when one leaves", async () => {
    await using host = new TestHost();
    const agent = await serving(host, { limits: { connections: 3 } });
    const inside = Array.from({ length: 3 }, () => new WireClient(agent.dataPort));
    for (const client of inside) expect(await client.hello()).toBe(STATUS.ok);
    for (let i = 0; i < 5; i++) {
      using client = new WireClient(agent.dataPort);
      expect(await client.hello()).toBe(STATUS.busy);
      expect((await client.end()).length).toBe(0);
    }
    await until("they are counted", () => counted(host, "refused_total") === 5);
    expect((await inside[0]!.list()).length).toBe(2);
    inside[1]![Symbol.dispose]();
    await until("one has left", () => counted(host, "connections") === 2);
    await isServed(agent);
    for (const client of inside) client[Symbol.dispose]();
  });

  test("of the system, when descriptors run out, ends nothing that stands, and passes", async () => {
    await using host = new TestHost();
    const agent = new AgentProcess(host, [], ["sh", "-c", 'ulimit -n 80; exec "$@"', "sh"]);
    await agent.serves();
    const mv = host.client();
    mv.counter("requests_total").inc(42);
    await mv.ready;
    const first = new WireClient(agent.dataPort);
    await first.hello();
    const crowd = Array.from({ length: 120 }, () => new WireClient(agent.dataPort));
    for (const client of crowd) client.send(encodeHello(""));
    await Promise.race(crowd.map((client) => client.take(8)));
    expect((await first.list()).length).toBe(2);
    const cpu = () =>
      Number(Bun.spawnSync(["ps", "-o", "cputimes=", "-p", String(agent.pid)]).stdout);
    expect(cpu()).toBeLessThan(20);
    for (const client of crowd) client[Symbol.dispose]();
    await isServed(agent);
    expect((await first.list()).length).toBe(2);
    first[Symbol.dispose]();
    expect(await agent.end("SIGTERM")).toBe(0);
  });
});

describe("an agent that stops", () => {
  test("does not wait for a collector that does not read", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using client = new WireClient(agent.dataPort);
    await client.hello();
    const { id } = await client.pool("shop");
    client.socket.pause();
    client.send(request(OP.read, id, new Array(4096).fill([0, PAGE_BYTES]), 1));
    await until("it is being served", () => counted(host, "sent_bytes_total") > 0);
    const start = performance.now();
    await agent.stop();
    expect(performance.now() - start).toBeLessThan(patienceNow(2_000));
  });
});
