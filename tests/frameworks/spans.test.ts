// Requests as spans, where a program asks for them: named by their routes, continued from service to service, and ended
// however the request ends.

import { afterEach, expect, test } from "bun:test";
import { context, SpanKind, trace } from "@opentelemetry/api";
import { Elysia } from "elysia";
import { Hono } from "hono";
import { stream } from "hono/streaming";
import type { MicroView } from "../../src/client/index.ts";
import { microview as forElysia, spanOf } from "../../src/frameworks/elysia.ts";
import { microview as forFetch } from "../../src/frameworks/fetch.ts";
import { microview as forHono } from "../../src/frameworks/hono.ts";
import { ContextManager, TracerProvider } from "../../src/opentelemetry/index.ts";
import { TestHost } from "../support/host.ts";
import { Recorded } from "../support/recorded.ts";
import { until } from "../support/wait.ts";
import { serve } from "./measured.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER = "00f067aa0ba902b7";
const TRACEPARENT = `00-${TRACE}-${CALLER}-01`;

afterEach(() => {
  trace.disable();
  context.disable();
});

function setUp(host: TestHost, events: object = { trustTraceparent: true }) {
  const mv = host.client({ poolDir: host.poolDir, events });
  return { mv, recorded: new Recorded(host) };
}

/** Spans in the order in which they began, each with its end. */
function spansOf(recorded: Recorded) {
  const ends = new Map(recorded.of("end").map((end) => [end.spanId, end]));
  return recorded.of("begin").map((begin) => {
    const end = ends.get(begin.spanId);
    const name = (end?.properties["otel.name"] as string | undefined) ?? begin.name;
    const { status, properties = {} } = end ?? {};
    return { ...begin, name, first: begin.name, status, properties };
  });
}

async function ended(recorded: Recorded, count: number) {
  return until(`${count} spans have ended`, () => {
    const spans = spansOf(recorded);
    if (spans.filter(({ status }) => status !== undefined).length !== count) {
      throw new Error(JSON.stringify(spans.map(({ name, status }) => [name, status])));
    }
    return spans;
  });
}

/** The same shop by both frameworks. */
const SHOPS: readonly (readonly [
  string,
  (mv: MicroView) => (request: Request) => Response | Promise<Response>,
])[] = [
  [
    "Elysia",
    (mv) =>
      new Elysia()
        .use(forElysia({ mv, spans: true }))
        .get("/orders/:id", async ({ params, request }) => {
          await Bun.sleep(1);
          mv.log.info("looked up", { id: params.id });
          return String(spanOf(request) === mv.currentSpan());
        })
        .get("/throws", () => {
          throw new Error("broken");
        })
        .get("/hangs", () => new Promise<string>(() => {}))
        .get("/stream", async function* () {
          yield "a";
          await Bun.sleep(1);
          yield "b";
        })
        .get("/endless", async function* () {
          for (;;) {
            yield "more";
            await Bun.sleep(1);
          }
        }).fetch as (request: Request) => Promise<Response>,
  ],
  [
    "Hono",
    (mv) => {
      const app = new Hono();
      app.use(forHono({ mv, spans: true }));
      app.get("/orders/:id", async (c) => {
        await Bun.sleep(1);
        mv.log.info("looked up", { id: c.req.param("id") });
        return c.text(String(spanOf(c.req.raw) === mv.currentSpan()));
      });
      app.get("/throws", () => {
        throw new Error("broken");
      });
      app.onError((_, c) => c.text("sorry", 500));
      app.get("/hangs", () => new Promise<Response>(() => {}));
      app.get("/stream", (c) =>
        stream(c, async (out) => {
          await out.write("a");
          await Bun.sleep(1);
          await out.write("b");
        }),
      );
      app.get("/endless", (c) =>
        stream(c, async (out) => {
          while (!out.aborted) {
            await out.write("more");
            await Bun.sleep(1);
          }
        }),
      );
      return (request) => app.fetch(request);
    },
  ],
];

for (const [framework, shop] of SHOPS) {
  test(`${framework}: a request is a span that is named by its route, with what is recorded meanwhile within it`, async () => {
    await using host = new TestHost();
    const { mv, recorded } = setUp(host);
    const url = serve(shop(mv));
    for (let i = 0; i < 2; i++) {
      const answer = await fetch(`${url}/orders/${i}`, { headers: { traceparent: TRACEPARENT } });
      expect(await answer.text()).toBe("true");
    }
    await (await fetch(`${url}/nowhere`)).text();
    const spans = await ended(recorded, 3);
    const span = { spanKind: "server", target: "http", status: "ok" };
    expect(spans).toMatchObject([
      { ...span, name: "GET /orders/:id", traceId: TRACE, parentId: CALLER },
      { ...span, name: "GET /orders/:id", traceId: TRACE, parentId: CALLER },
      { ...span, name: "GET (unmatched)", parentId: undefined },
    ]);
    expect(spans.map(({ properties }) => properties["http.response.status_code"])).toEqual([
      ...[200, 200, 404],
    ]);
    expect(recorded.of("log").map(({ spanId }) => spanId)).toEqual(
      spans.slice(0, 2).map(({ spanId }) => spanId),
    );
  });

  test(`${framework}: a span ends as an error when the handler throws`, async () => {
    await using host = new TestHost();
    const { mv, recorded } = setUp(host);
    const url = serve(shop(mv));
    expect((await fetch(`${url}/throws`)).status).toBe(500);
    expect(await ended(recorded, 1)).toMatchObject([
      {
        place: "",
        name: "GET /throws",
        status: "error",
        properties: {
          ...{ "http.response.status_code": 500, "error.type": "status" },
          error: { name: "Error", message: "broken" },
        },
      },
    ]);
  });

  test(`${framework}: a span ends with the last byte of a stream, or when the client leaves`, async () => {
    await using host = new TestHost();
    const { mv, recorded } = setUp(host);
    const url = serve(shop(mv));
    expect(await (await fetch(`${url}/stream`)).text()).toBe("ab");
    await ended(recorded, 1);
    const left = new AbortController();
    const answer = await fetch(`${url}/endless`, { signal: left.signal });
    await answer.body!.getReader().read();
    expect(spansOf(recorded).map(({ status }) => status)).toEqual(["ok", undefined]);
    left.abort();
    expect(await ended(recorded, 2)).toMatchObject([
      { name: "GET /stream", status: "ok" },
      { name: "GET /endless", status: "error", properties: { "error.type": "aborted" } },
    ]);
  });

  test(`${framework}: a span ends when the client leaves before there is an answer`, async () => {
    await using host = new TestHost();
    const { mv, recorded } = setUp(host);
    const url = serve(shop(mv));
    const left = new AbortController();
    const asked = fetch(`${url}/hangs`, { signal: left.signal }).catch(() => "left");
    await until("it has begun", () => spansOf(recorded).length === 1);
    left.abort();
    expect(await asked).toBe("left");
    expect(await ended(recorded, 1)).toMatchObject([
      { status: "error", properties: { "error.type": "aborted" } },
    ]);
  });

  test(`${framework}: nothing of a path, a query or headers is recorded`, async () => {
    await using host = new TestHost();
    const { mv, recorded } = setUp(host);
    const url = serve(shop(mv));
    const secret = "swordfish";
    const headers = { authorization: secret, cookie: `a=${secret}`, traceparent: secret };
    await (await fetch(`${url}/nowhere/${secret}?token=${secret}`, { headers })).text();
    await ended(recorded, 1);
    expect(recorded.text).not.toContain(secret);
  });
}

test("a handler's error that reaches error() of Bun.serve has ended the span", async () => {
  await using host = new TestHost();
  const { mv, recorded } = setUp(host);
  const app = new Hono().use(forHono({ mv, spans: true })).get("/throws", () => {
    throw new Error("broken");
  });
  app.onError((error) => {
    throw error;
  });
  const server = Bun.serve({
    port: 0,
    development: false,
    fetch: (request) => app.fetch(request),
    error: () => new Response("by error()", { status: 503 }),
  });
  host.onEnd(() => server.stop(true));
  expect(await (await fetch(`${server.url}throws`)).text()).toBe("by error()");
  expect(await ended(recorded, 1)).toMatchObject([{ name: "GET /throws", status: "error" }]);
});

test("a request that becomes a WebSocket is a span until it has", async () => {
  await using host = new TestHost();
  const { mv, recorded } = setUp(host);
  const app = new Elysia()
    .use(forElysia({ mv, spans: true }))
    .ws("/socket", { message: (ws, message) => void ws.send(message) })
    .listen({ hostname: "127.0.0.1", port: 0 });
  host.onEnd(() => app.stop(true));
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const socket = new WebSocket(`ws://127.0.0.1:${app.server!.port}/socket`);
  socket.onopen = () => socket.send("echo");
  socket.onmessage = ({ data }) => resolve(data);
  expect(await promise).toBe("echo");
  expect((await ended(recorded, 1)).map(({ status }) => status)).toEqual(["ok"]);
  socket.close();
});

test("a caller is not trusted unless it is configured", async () => {
  await using host = new TestHost();
  const { mv, recorded } = setUp(host, {});
  const app = new Hono().use(forHono({ mv, spans: true })).get("/", (c) => c.text("fine"));
  const url = serve((request) => app.fetch(request));
  await (await fetch(url, { headers: { traceparent: TRACEPARENT } })).text();
  const [span] = await ended(recorded, 1);
  expect(span).toMatchObject({ parentId: undefined });
  expect(span!.traceId).not.toBe(TRACE);
});

test("a call by fetch() carries its span on, so that services are one trace", async () => {
  await using host = new TestHost();
  const { mv, recorded } = setUp(host);
  const ask = forFetch({ mv, spans: true });
  let seen = "";
  const bank = new Elysia()
    .use(forElysia({ mv, spans: true }))
    .get("/accounts/:id", ({ headers }) => {
      seen = headers["traceparent"] ?? "";
      return "rich";
    });
  const bankUrl = serve(bank.fetch as (request: Request) => Promise<Response>);
  const shop = new Hono().use(forHono({ mv, spans: true })).get("/pay", async (c) => {
    // Headers of the caller that are given on are not of this span.
    const headers = { ...c.req.header(), "x-own": "1" };
    return c.text(await (await ask(`${bankUrl}/accounts/7`, { headers })).text());
  });
  const url = serve((request) => shop.fetch(request));
  expect(await (await fetch(`${url}/pay`, { headers: { traceparent: TRACEPARENT } })).text()).toBe(
    "rich",
  );
  const spans = await ended(recorded, 3);
  const [pay, call, accounts] = spans;
  expect(spans).toMatchObject([
    { name: "GET /pay", parentId: CALLER },
    { name: `GET ${new URL(bankUrl).host}`, spanKind: "client", parentId: pay!.spanId },
    { name: "GET /accounts/:id", parentId: call!.spanId },
  ]);
  expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
  expect(seen).toBe(`00-${TRACE}-${call!.spanId}-01`);
  expect(accounts!.status).toBe("ok");
});

test("a call by fetch() that fails is a span that failed", async () => {
  await using host = new TestHost();
  const { mv, recorded } = setUp(host);
  const ask = forFetch({ mv, spans: true });
  const url = serve(() => new Response("no", { status: 404 }));
  await ask(new Request(url, { headers: { "x-a": "1" } }));
  await expect(ask("http://127.0.0.1:1/")).rejects.toThrow();
  await expect(ask(url, { signal: AbortSignal.abort() })).rejects.toThrow();
  expect(await ended(recorded, 3)).toMatchObject([
    { status: "error", properties: { "http.response.status_code": 404, "error.type": "status" } },
    { status: "error", properties: { "error.type": "network" } },
    { status: "error", properties: { "error.type": "aborted" } },
  ]);
});

test("nothing of an address or headers of a call is recorded but its host", async () => {
  await using host = new TestHost();
  const { mv, recorded } = setUp(host);
  const secret = "swordfish";
  const ask = forFetch({ mv, spans: true, fetch: (async () => new Response("fine")) as never });
  const headers = { authorization: secret, cookie: secret };
  await ask(`http://user:${secret}@bank.example/${secret}?token=${secret}`, { headers });
  expect((await ended(recorded, 1)).map(({ name }) => name)).toEqual(["GET bank.example"]);
  expect(recorded.text).not.toContain(secret);
});

test("what an instrumentation sees too is recorded once", async () => {
  await using host = new TestHost();
  const { mv, recorded } = setUp(host);
  trace.setGlobalTracerProvider(new TracerProvider({ mv }));
  context.setGlobalContextManager(new ContextManager());
  const tracer = trace.getTracer("instrumentation");
  // As one of clients does, within the call that ours has begun.
  const instrumented = (async () => {
    tracer.startSpan("HTTP GET", { kind: SpanKind.CLIENT }).end();
    tracer.startSpan("other work").end();
    return new Response("fine");
  }) as unknown as typeof fetch;
  await forFetch({ mv, spans: true, fetch: instrumented })("http://bank.example/");
  // As one of servers does, around the framework.
  const app = new Hono().use(forHono({ mv, spans: true })).get("/a", (c) => c.text("fine"));
  await tracer.startActiveSpan("GET", { kind: SpanKind.SERVER }, async (span) => {
    await (await app.request("/a")).text();
    span.end();
  });
  expect((await ended(recorded, 3)).map(({ name, status }) => [name, status])).toEqual([
    ["GET bank.example", "ok"],
    ["other work", "ok"],
    ["GET /a", "ok"],
  ]);
});

test("without spans asked for there are none, and no header", async () => {
  await using host = new TestHost();
  const { mv, recorded } = setUp(host);
  mv.log.info("the ring is there");
  const seen: (string | null)[] = [];
  const app = new Hono().use(forHono({ mv })).get("/", (c) => {
    seen.push(c.req.raw.headers.get("traceparent"));
    return c.text(String(spanOf(c.req.raw)));
  });
  const url = serve((request) => app.fetch(request));
  expect(await (await forFetch({ mv })(url)).text()).toBe("undefined");
  expect([seen, recorded.of("begin").length]).toEqual([[null], 0]);
});
