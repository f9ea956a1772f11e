// What a lake's server takes and refuses. What all servers get from the guard is in tests/guard/contract.test.ts.

import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { LakeStatus } from "../../src/lake/index.ts";
import { encodeSegment } from "../../src/layout/index.ts";
import { ORIGIN } from "../support/blocks.ts";
import { Authority } from "../support/certificates.ts";
import { grownBlock } from "../support/grown-blocks.ts";
import { TestHost } from "../support/host.ts";
import { lakeOf, logBlock, newSegmentId, putSegment } from "../support/lakes.ts";
import { until } from "../support/wait.ts";

const statusOf = async (url: string): Promise<LakeStatus> =>
  (await fetch(`${url}/v1/status`)).json() as Promise<LakeStatus>;

/** The status of an answer, and the code of an error. */
async function told(response: Response | Promise<Response>): Promise<string> {
  const answer = await response;
  if (answer.ok) return String(answer.status);
  const { code, message, hint } = (await answer.json()) as Record<string, string>;
  expect([message, hint]).not.toContain("");
  return `${answer.status} ${code}`;
}

const put = (url: string, id: string, body: Uint8Array, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/segments/${id}`, { method: "PUT", body, headers });

test("a segment is stored once, and is there when it is sent again", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const id = newSegmentId();
  const blocks = [logBlock(10), logBlock(5, { first: 10, isFinal: true })];
  const first = await putSegment(lake.url, id, blocks);
  expect([first.status, await first.json()]).toEqual([201, { segment: id, blocks: 2, known: 0 }]);
  expect(await told(putSegment(lake.url, id, blocks))).toBe("200");
  // The same blocks in another segment, as after an agent that was killed.
  const again = await putSegment(lake.url, newSegmentId(), blocks);
  expect(await again.json()).toMatchObject({ blocks: 2, known: 2 });
  expect(await statusOf(lake.url)).toMatchObject({
    events: { logs: 15, measures: 0, spans: 0, metrics: 0 },
    ...{ blocks: 2, processes: 1, streams: { all: 1, alive: 0 } },
    since: { segments: 2, again: 1, conflicts: 0, refused: {} },
  });
});

test("what was stored is there when a lake is started again, and what nobody was told of is not", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  await putSegment(lake.url, newSegmentId(), [logBlock(10)]);
  const { dir } = lake;
  await lake.stop();
  const [day] = readdirSync(join(dir, "blobs")).filter((name) => !name.startsWith("."));
  writeFileSync(join(dir, "blobs", day!, "0".repeat(32)), "nobody knows this");
  mkdirSync(join(dir, "blobs/2999-01-01"));
  writeFileSync(join(dir, "blobs/2999-01-01", "0".repeat(32)), "nor this");
  const { lake: next } = await lakeOf(host);
  expect(readdirSync(join(dir, "blobs/2999-01-01"))).toEqual([]);
  expect(await statusOf(next.url)).toMatchObject({ blocks: 1, events: { logs: 10 } });
  expect(readdirSync(join(dir, "blobs", day!))).toHaveLength(1);
});

test("a damaged segment is refused for good, with the reason, and leaves nothing", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const sound = encodeSegment([logBlock(10)]);
  const flipped = sound.slice();
  flipped[flipped.length - 5]! ^= 1;
  const rows = { logs: 9e9, measures: 0, spans: 0, opens: 0, closes: 0 };
  const damaged = {
    nothing: new Uint8Array(),
    foreign: new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"),
    torn: sound.subarray(0, sound.length - 1),
    more: Uint8Array.of(...sound, 0),
    flipped,
    twice: encodeSegment([logBlock(10), logBlock(10)]),
    boasting: encodeSegment([grownBlock(logBlock(10), { header: { rows } })]),
    backwards: encodeSegment([logBlock(2, {}, -1_000_000_000_000_000_000n)]),
  };
  for (const [name, body] of Object.entries(damaged)) {
    const answer = await put(lake.url, newSegmentId(), body);
    expect([name, await told(answer)]).toEqual([name, "400 damaged-segment"]);
  }
  expect(await statusOf(lake.url)).toMatchObject({
    ...{ blocks: 0, segments: { count: 0 } },
    since: { refused: { "damaged-segment": Object.keys(damaged).length } },
  });
});

test("what another version has to take is to be sent again, and leaves nothing", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const later = encodeSegment([logBlock(1)]);
  later[5] = "2".charCodeAt(0);
  const segments = [encodeSegment([grownBlock(logBlock(10), { version: 2 })]), later];
  for (const body of segments) {
    const answer = await put(lake.url, newSegmentId(), body);
    expect(answer.headers.get("retry-after")).toBe("60");
    expect(await told(answer)).toBe("501 unknown-format");
  }
  expect(await statusOf(lake.url)).toMatchObject({
    ...{ blocks: 0, segments: { count: 0 } },
    since: { refused: { "unknown-format": 2 } },
  });
});

test("a block whose rows only another version can read is stored, and a query goes without it", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const blocks = [logBlock(10), grownBlock(logBlock(5, { first: 10 }), { payloadVersion: 2 })];
  const answer = await putSegment(lake.url, newSegmentId(), blocks);
  expect(await answer.json()).toMatchObject({ blocks: 2, known: 0 });
  await until("it is set aside", async () => {
    const { views } = await statusOf(lake.url);
    return views.find(({ view }) => view === "log_entries")?.setAside === 1;
  });
  expect(await statusOf(lake.url)).toMatchObject({ blocks: 2, events: { logs: 15 } });
});

test("an id that could be another file is refused, and other bytes under a known blob too", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const body = encodeSegment([logBlock(10)]);
  for (const id of ["x", "A".repeat(32), "..%2f..%2fcatalogue.sqlite", `${"0".repeat(31)}%00`]) {
    expect(await told(put(lake.url, id, body))).toBe("400 invalid-segment-id");
  }
  // Stored by a lake that was killed before it knew.
  const id = newSegmentId();
  await putSegment(lake.url, newSegmentId(), [logBlock(1)]);
  const [day] = readdirSync(join(lake.dir, "blobs")).filter((name) => !name.startsWith("."));
  writeFileSync(join(lake.dir, "blobs", day!, id), "other bytes");
  expect(await told(put(lake.url, id, body))).toBe("409 segment-conflict");
  writeFileSync(join(lake.dir, "blobs", day!, id), body);
  expect(await told(put(lake.url, id, body))).toBe("201");
});

test("a segment that is too long is refused by 413", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host, { bodyBytesMax: 1_000 });
  expect(await told(put(lake.url, newSegmentId(), new Uint8Array(1_001)))).toBe("413 body-full");
});

test("a disk without room is told as such, and the sender asked to come again", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host, { reserveBytes: Number.MAX_SAFE_INTEGER });
  const answer = await putSegment(lake.url, newSegmentId(), [logBlock(10)]);
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await told(answer)).toBe("507 disk-full");
});

test("tokens bring events of their applications alone, and ask only with their scopes", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host, {
    tokens: [
      { token: "token-of-the-shop-agent", name: "shop", scopes: ["ingest"], apps: ["shop"] },
      { token: "token-of-the-bank-agent", name: "bank", scopes: ["ingest"], apps: ["bank"] },
      { token: "token-of-a-metrics-reader", name: "grafana", scopes: ["read"] },
    ],
  });
  const as = (token: string) => ({ authorization: `Bearer ${token}` });
  const send = (token: string) =>
    told(putSegment(lake.url, newSegmentId(), [logBlock(10)], as(token)));
  expect(ORIGIN.process.app).toBe("shop");
  expect(await send("token-of-the-bank-agent")).toBe("403 foreign-app");
  // Behind a block of its own, as if it were of the same process.
  const hidden = [
    logBlock(10, { process: { app: "bank" } }),
    logBlock(10, { stream: { streamId: "1".repeat(16) } }),
  ];
  const answer = putSegment(lake.url, newSegmentId(), hidden, as("token-of-the-bank-agent"));
  expect(await told(answer)).toBe("403 foreign-app");
  expect(await send("token-of-a-metrics-reader")).toBe("403 needs-ingest-scope");
  expect(await send("token-of-the-shop-agent")).toBe("201");
  const status = (token: string) => fetch(`${lake.url}/v1/status`, { headers: as(token) });
  expect(await told(status("token-of-a-metrics-reader"))).toBe("200");
  expect(await told(status("token-of-the-shop-agent"))).toBe("403 needs-read-scope");
});

test("a certificate of its own is not enough beyond loopback; one that callers need is", async () => {
  await using host = new TestHost();
  using authority = new Authority("lake");
  const tls = authority.sign("lake");
  const beyond = { host: "0.0.0.0" };
  await expect(lakeOf(host, { ...beyond, tls })).rejects.toThrow("anybody there could read");
  const { lake } = await lakeOf(host, { ...beyond, tls: { ...tls, clientCa: authority.cert } });
  expect(lake.url).toStartWith("https://");
});

test("a stream is of one process, and a process may have several applications", async () => {
  await using host = new TestHost();
  const { lake, log } = await lakeOf(host);
  const process = { app: "shop", processId: "a".repeat(32) };
  await putSegment(lake.url, newSegmentId(), [logBlock(10, { process })]);
  const other = { app: "shop", processId: "b".repeat(32) };
  const forged = [logBlock(10, { first: 10, process: other })];
  expect(await told(putSegment(lake.url, newSegmentId(), forged))).toBe("409 identity-conflict");
  const both = [logBlock(10, { process }), ...forged];
  expect(await told(putSegment(lake.url, newSegmentId(), both))).toBe("400 damaged-segment");
  expect(await statusOf(lake.url)).toMatchObject({ blocks: 1, processes: 1, streams: { all: 1 } });
  const right = [
    logBlock(10, { first: 10, process }),
    logBlock(10, { stream: { streamId: "1".repeat(16) }, process: { ...process, app: "bank" } }),
  ];
  expect(await told(putSegment(lake.url, newSegmentId(), right))).toBe("201");
  expect(log.filter(({ message }) => message === "a segment was refused")).toHaveLength(2);
});

test("its numbers are Prometheus text", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  await putSegment(lake.url, newSegmentId(), [logBlock(10)]);
  await put(lake.url, newSegmentId(), new Uint8Array());
  const answer = await fetch(`${lake.url}/metrics`);
  expect(answer.headers.get("content-type")).toContain("version=0.0.4");
  const text = await answer.text();
  expect(text).toContain('\nmicroview_lake_events{kind="logs"} 10\n');
  expect(text).toContain('\nmicroview_lake_refused_total{code="damaged-segment"} 1\n');
  expect(await (await fetch(`${lake.url}/healthz`)).text()).toBe("ok\n");
});

test("a block whose rows cannot be read is told as lost, and the others are rows", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const broken = grownBlock(logBlock(10, { first: 10 }), {
    header: { rows: { logs: 11, measures: 0, spans: 0, opens: 0, closes: 0 } },
  });
  await putSegment(lake.url, newSegmentId(), [logBlock(10), broken]);
  const body = JSON.stringify({ sql: "select count(*) from log_entries" });
  const answer = await fetch(`${lake.url}/v1/query`, { method: "POST", body });
  expect((await answer.text()).split("\n")[1]).toBe("[10]");
  await until("it is told", async () => {
    const { views } = await statusOf(lake.url);
    return views.find(({ view }) => view === "log_entries")?.setAside === 1;
  });
});

/** A segment that arrives in two parts, the second of which waits. */
function inTwoParts(segment: Uint8Array, first: number) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(segment.subarray(0, first));
      await promise;
      controller.enqueue(segment.subarray(first));
      controller.close();
    },
  });
  return { body, goOn: resolve };
}

const TWO_CALLERS = [
  { token: "token-of-the-shop-agent", name: "shop", scopes: ["ingest" as const] },
  { token: "token-of-the-bank-agent", name: "bank", scopes: ["ingest" as const] },
];
const as = (name: string) => ({ authorization: `Bearer token-of-the-${name}-agent` });

test("too much at once is asked to come again, and taken when there is room; others have half of it", async () => {
  await using host = new TestHost();
  const segment = encodeSegment([logBlock(1_000)]);
  const { lake } = await lakeOf(host, {
    ...{ tokens: TWO_CALLERS, underWayBytesMax: 2 * segment.length + 1_000 },
  });
  const put = (name: string, body: Uint8Array | ReadableStream) =>
    fetch(`${lake.url}/v1/segments/${newSegmentId()}`, {
      ...{ method: "PUT", body, headers: as(name) },
    });
  const begin = () => {
    const { body, goOn } = inTwoParts(segment, segment.length - 10);
    const begun = { goOn, isAnswered: false, slow: put("shop", body) };
    void begun.slow.then(() => {
      begun.isAnswered = true;
    });
    return begun;
  };
  let begun = begin();
  const answer = await until("there is no room", async () => {
    const other = await put("shop", segment);
    if (other.status === 503) return other;
    // Whichever comes first has the room: the other one may have been the slow one.
    if (begun.isAnswered) begun = begin();
    return undefined;
  });
  const { slow, goOn } = begun;
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await told(answer)).toBe("503 lake-busy");
  expect(await told(put("bank", segment))).toBe("201");
  goOn();
  expect(await told(slow)).toBe("201");
  expect(await told(put("shop", segment))).toBe("201");
});

test("what is declared and does not come takes no room", async () => {
  await using host = new TestHost();
  const segment = encodeSegment([logBlock(10)]);
  const { lake } = await lakeOf(host, { underWayBytesMax: 4 * segment.length });
  let arrived = 0;
  const senders = Array.from({ length: 9 }, () =>
    connect(lake.port, "127.0.0.1", function (this: Socket) {
      this.write(
        `PUT /v1/segments/${newSegmentId()} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: ${1 << 25}\r\n\r\nabc`,
        () => arrived++,
      );
    }),
  );
  await until("all have begun", () => arrived === senders.length);
  expect(await told(put(lake.url, newSegmentId(), segment))).toBe("201");
  for (const sender of senders) sender.destroy();
});

test("a body is no longer than its route takes, and is refused before it is read", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  /** What is said to somebody who has sent no byte of it. */
  const declared = async (call: string, bytes: number) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = connect(lake.port, "127.0.0.1", () => {
      socket.write(`${call} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: ${bytes}\r\n\r\n`);
    });
    socket.once("data", (data) => resolve(String(data).split("\r\n")[0]!));
    const line = await promise;
    socket.destroy();
    return line;
  };
  expect(await declared("POST /v1/query", (1 << 20) + 1)).toContain(" 413 ");
  expect(await declared("POST /v1/logs", (1 << 25) + 1)).toContain(" 413 ");
  const body = new Blob([" ".repeat((1 << 20) + 1)]).stream();
  expect(await told(fetch(`${lake.url}/v1/query`, { method: "POST", body }))).toBe("413 body-full");
});
