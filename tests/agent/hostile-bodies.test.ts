// The worst bodies that JSON can make, of several lengths, to every route that takes one. What a body costs follows from
// its length: it is compared with a plain body that is as long.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createRoutes, type RoutesContext } from "../../src/agent/serve/routes.ts";
import { SharedFile } from "../../src/ffi/index.ts";
import type { AttachResponse } from "../../src/rest/index.ts";
import { TestHost } from "../support/host.ts";
import { ask, define } from "../support/pools.ts";
import { patience } from "../support/speed.ts";

const MAX_BYTES = 4 << 20;
const LENGTHS = [200, 120_000, MAX_BYTES];

let host: TestHost;
let writer: AttachResponse;
let lock: SharedFile;
let owner: string;

beforeAll(async () => {
  host = new TestHost();
  await host.agent({ limits: { bodyBytes: MAX_BYTES } });
  owner = readFileSync(`${host.socketPath}.owner`, "utf8").trim();
  const { text } = await send("POST /v1/apps/:app/writers", ATTACH);
  writer = JSON.parse(text);
  lock = SharedFile.open(writer.pool.path, true);
  expect(lock.lock(writer.lock.offset, writer.lock.bytes)).toBe(true);
});
afterAll(async () => {
  lock.close();
  await host[Symbol.asyncDispose]();
});

const ATTACH = JSON.stringify({ service: "auth", pid: 1, threadId: 1 });

async function send(route: string, body: string | Uint8Array<ArrayBuffer>, headers = {}) {
  const [method, pattern] = route.split(" ") as [string, string];
  const path = pattern
    .replace(":app", "shop")
    .replace(":writer", String(writer?.writer))
    .replace(":id", "1");
  const response = await fetch(`http://localhost${path}`, {
    unix: host.socketPath,
    method,
    body,
    // The agent's own user may do all there.
    headers: { "content-type": "application/json", authorization: `Bearer ${owner}`, ...headers },
  });
  return { status: response.status, text: await response.text() };
}

/** Routes that take a body, as the OpenAPI document has them. */
const ROUTES = [
  "POST /metrics",
  "POST /v1/apps/:app/writers",
  "PUT /v1/apps/:app/writers/:writer/lock",
  "POST /v1/apps/:app/writers/:writer/series",
  "DELETE /v1/apps/:app/writers/:writer/series",
  "POST /v1/rdma/queue-pairs",
  "POST /v1/events/settings",
  "DELETE /v1/events/settings",
];

/** The same again and again, up to a length. */
function filled(length: number, unit: string, head = "", tail = ""): string {
  const times = Math.floor((length - head.length - tail.length) / unit.length);
  return head + unit.repeat(Math.max(1, times)) + tail;
}

function metrics(length: number, make: (i: number) => object): string {
  const one = JSON.stringify(make(1000)).length + 1;
  const count = Math.min(20_000, Math.max(1, Math.floor((length - 20) / one)));
  return JSON.stringify({ turn: 1, metrics: Array.from({ length: count }, (_, i) => make(i)) });
}

const BODIES: Record<string, (length: number) => string | Uint8Array<ArrayBuffer>> = {
  "open arrays": (length) => "[".repeat(length),
  "arrays in arrays": (length) => "[".repeat(length / 2) + "]".repeat(length / 2),
  "objects in objects": (length) => `${'{"a":'.repeat(length / 6)}1${"}".repeat(length / 6)}`,
  "objects in a part that is asked for": (length) =>
    filled(length / 2, '{"a":', '{"metrics":[', "1") + "}".repeat(length / 12),
  "arrays as deep as may be": (length) => filled(length, "[[[[[[[[1]]]]]]]],", "[", "1]"),
  "numbers side by side": (length) => filled(length, "1,", "[", "1]"),
  "objects side by side": (length) => filled(length, "{},", '{"metrics":[', "{}]}"),
  "nothing side by side": (length) => filled(length, "null,", '{"turn":1,"metrics":[', "null]}"),
  "many keys": (length) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: length / 14 }, (_, i) => [`k${i}`, 1]))),
  "one key often": (length) => filled(length, '"service":1,', "{", '"service":1}'),
  "the key __proto__": (length) => filled(length, "1,", '{"__proto__":[', "1]}"),
  "a long text": (length) => filled(length, "a", '{"service":"', '","pid":1,"threadId":1}'),
  "a text of escapes": (length) =>
    filled(length, "\\u0000", '{"service":"', '","pid":1,"threadId":1}'),
  "halves of characters": (length) =>
    filled(length, "\\ud800", '{"service":"', '","pid":1,"threadId":1}'),
  "an endless text of backslashes": (length) => filled(length, "\\\\", '{"service":"'),
  "bytes that are no UTF-8": (length) =>
    Buffer.concat([
      Buffer.from('{"service":"'),
      Buffer.alloc(length - 14, 0xff),
      Buffer.from('"}'),
    ]),
  "a long number": (length) => filled(length, "9", '{"turn":', "}"),
  "a long fraction": (length) => filled(length, "3", '{"turn":0.', "}"),
  "a large exponent": (length) => filled(length, "9", '{"turn":1e', "}"),
  "a text in a number's place, beside much": (length) =>
    filled(
      length,
      '{"name":"a","labelNames":[],"series":[]},',
      '{"turn":"-5","metrics":[',
      '{"name":"a","labelNames":[],"series":[]}]}',
    ),
  blanks: (length) => filled(length, " ", "", ATTACH),
  "metrics with wrong names": (length) => metrics(length, () => ask(define.counter("0"))),
  "metrics with wrong kinds": (length) =>
    metrics(length, () => ({ ...ask(define.counter("a")), kind: "none" })),
  "metrics that contradict each other": (length) =>
    metrics(length, (i) => ask(i % 2 === 0 ? define.counter("a") : define.gauge("a"))),
  "a metric with a long name": (length) =>
    JSON.stringify({ metrics: [ask(define.counter("a".repeat(length - 150)))] }),
  "a metric with many labels": (length) =>
    JSON.stringify({
      metrics: [
        ask(
          define.counter(
            "a",
            Array.from({ length: length / 10 }, (_, i) => `l${i}`),
          ),
        ),
      ],
    }),
  "a metric with many bounds": (length) =>
    JSON.stringify({
      metrics: [
        ask(
          define.histogram(
            "a",
            Array.from({ length: length / 10 }, (_, i) => i),
          ),
        ),
      ],
    }),
  "series that are not there": (length) =>
    metrics(length, (i) => ({ name: `a${i}`, labelNames: [], series: [[]] })),
};

/** Milliseconds of processor time that a call takes; the agent and its caller are this process. */
async function costOf<T>(call: () => Promise<T>): Promise<{ costMs: number; result: T }> {
  const before = process.cpuUsage();
  const result = await call();
  const { user, system } = process.cpuUsage(before);
  return { costMs: (user + system) / 1000, result };
}

test("the routes here are all that take a body", () => {
  const { routes } = createRoutes({} as RoutesContext);
  const taking = routes.filter(({ hooks }) => hooks?.body !== undefined);
  expect(taking.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(ROUTES.toSorted());
});

describe.each(LENGTHS)("of %d bytes", (length) => {
  test.each(Object.keys(BODIES))(
    "%s",
    async (name) => {
      const body = BODIES[name]!(length);
      const secret = { "microview-secret": writer.secret };
      for (const route of ROUTES) {
        const plain = await costOf(() => send(route, filled(body.length, "a", '"', '"')));
        const { costMs, result } = await costOf(() => send(route, body, secret));
        expect(costMs).toBeLessThan(20 * plain.costMs + 1000);
        const { status, text } = result;
        expect(text).not.toMatch(/\bat .*\.ts|node_modules/);
        if (status >= 400) {
          expect([400, 404, 409, 413, 422, 503]).toContain(status);
          expect(Object.keys(JSON.parse(text)).sort()).toEqual(["code", "hint", "message"]);
          expect(text.length).toBeLessThan(1000);
        }
        // One answer for each metric, none longer than its request and a sentence.
        expect(text.length).toBeLessThan(body.length * 4 + 1000);
      }
    },
    patience(60_000),
  );
});

test("a body without its length is read no further than may be, and a compressed one is refused", async () => {
  const chunks = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(1 << 20).fill(0x20)),
  });
  const endless = await send(ROUTES[1]!, chunks as never);
  expect([endless.status, JSON.parse(endless.text).code]).toEqual([413, "body-full"]);
  const gzip = Bun.gzipSync(Buffer.from(ATTACH));
  const compressed = await send(ROUTES[1]!, gzip, { "content-encoding": "gzip" });
  expect([compressed.status, JSON.parse(compressed.text).code]).toEqual([400, "invalid-json"]);
});

test.each([
  "text/plain",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "",
  "json",
])("a body of the type %p is refused", async (type) => {
  const { status, text } = await send(ROUTES[1]!, ATTACH, { "content-type": type });
  expect([status, JSON.parse(text).code]).toEqual([400, "invalid-json"]);
});

test.each(["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"])(
  "a body of the type %p is JSON",
  async (type) => {
    expect((await send(ROUTES[1]!, ATTACH, { "content-type": type })).status).toBe(200);
  },
);

test("names that differ in halves of characters are one name, and damage no directory", async () => {
  await using own = new TestHost();
  const agent = await own.agent();
  const post = async (path: string, body: unknown, headers = {}) => {
    const response = await fetch(`http://localhost/v1/apps/shop/${path}`, {
      unix: own.socketPath,
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", ...headers },
    });
    expect(response.status).toBe(200);
    return response.json();
  };
  const halves = ["\ud800", "\udbff", "\udc00", "\ufffd", "\ud83d\ude00"];
  for (const half of halves) {
    const { writer, secret, ...place } = (await post("writers", {
      ...JSON.parse(ATTACH),
      service: half,
    })) as AttachResponse;
    own.hold(place);
    const counter = { ...define.counter("a_total", ["x"]), help: half };
    const metrics = [ask(counter, [[half], [`${half}${half}`]])];
    await post(`writers/${writer}/series`, { metrics }, { "microview-secret": secret });
  }
  const { directory } = agent.pools.get("shop");
  expect(directory.damage).toEqual([]);
  expect([...directory.services.values()]).toEqual(["\ufffd", "\ud83d\ude00"]);
  expect(directory.seriesCount).toBe(4);
});
