// Spans of OpenTelemetry's API are recorded in the ring, with all that they are given, whatever that is.

import { afterEach, expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import {
  type Context,
  context,
  INVALID_SPAN_CONTEXT,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { suppressTracing, W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  ContextManager,
  TracerProvider,
  type TracerProviderOptions,
} from "../../src/opentelemetry/index.ts";
import { TestHost } from "../support/host.ts";
import { Recorded } from "../support/recorded.ts";
import { surroundings } from "../support/surroundings.ts";

afterEach(() => {
  trace.disable();
  context.disable();
});

function setUp(host: TestHost, options: object = {}, events: object = {}) {
  const mv = host.client({ poolDir: host.poolDir, events });
  const provider = new TracerProvider({ mv, ...options } as TracerProviderOptions);
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new ContextManager());
  return { mv, recorded: new Recorded(host), tracer: trace.getTracer("checkout", "1.0.0") };
}

/** Beginnings by name, each with its end's status and properties. */
function spansOf(recorded: Recorded) {
  const ends = new Map(recorded.of("end").map((end) => [end.spanId, end]));
  return Object.fromEntries(
    recorded.of("begin").map((begin) => [begin.name, { ...begin, end: ends.get(begin.spanId) }]),
  );
}

test("a span is recorded with its kind, attributes, status, events and links", async () => {
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host);
  const linked: SpanContext = { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 1 };
  const span = tracer.startSpan("pay", {
    kind: SpanKind.CLIENT,
    attributes: { "peer.service": "bank", amount: 5, list: ["a", "b"] },
    links: [{ context: linked, attributes: { why: "retry" } }],
  });
  expect(span.isRecording()).toBe(true);
  span
    .setAttribute("code", 7)
    .setAttributes({ fine: false, gone: undefined })
    .addEvent("asked", { n: 1 }, new Date(1000))
    .addEvent("answered", [2, 5])
    .addLink({ context: { ...linked, spanId: "c".repeat(16) } })
    .setStatus({ code: SpanStatusCode.ERROR, message: "declined" })
    .updateName("pay by card");
  span.recordException(new TypeError("no card"), new Date(3000));
  span.end();
  span.setAttribute("late", 1).addEvent("late").end();
  expect(span.isRecording()).toBe(false);
  const { pay } = spansOf(recorded);
  expect(pay).toMatchObject({ spanKind: "client", target: "checkout", parentId: undefined });
  expect(pay!.properties).toEqual({ "peer.service": "bank", amount: 5, list: ["a", "b"] });
  expect(pay!.end).toMatchObject({ status: "error" });
  expect(pay!.end!.properties).toMatchObject({
    code: 7,
    fine: false,
    "otel.name": "pay by card",
    "otel.status_message": "declined",
    "otel.events": [
      { time_ns: "1000000000", name: "asked", attributes: { n: 1 } },
      { time_ns: "2000000005", name: "answered" },
      {
        time_ns: "3000000000",
        name: "exception",
        attributes: { "exception.type": "TypeError", "exception.message": "no card" },
      },
    ],
    "otel.links": [
      { trace_id: linked.traceId, span_id: linked.spanId, attributes: { why: "retry" } },
      { trace_id: linked.traceId, span_id: "c".repeat(16) },
    ],
  });
  expect(pay!.end!.properties).not.toHaveProperty("late");
  expect(pay!.end!.properties).not.toHaveProperty("gone");
});

test("its context is the one of the ring, and what is open at death has its first attributes", async () => {
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host);
  const span = tracer.startSpan("open", { attributes: { route: "/" } });
  const { traceId, spanId, traceFlags } = span.spanContext();
  expect(traceFlags).toBe(TraceFlags.SAMPLED);
  expect(recorded.of("begin")).toMatchObject([{ traceId, spanId, properties: { route: "/" } }]);
});

test("the parent is the span of the context, over waits, timers and whatever else is asynchronous", async () => {
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host);
  await tracer.startActiveSpan("request", async (request) => {
    await Bun.sleep(1);
    tracer.startSpan("query").end();
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(() => {
      tracer.startActiveSpan("timer", { attributes: { a: 1 } }, (span) => {
        expect(trace.getActiveSpan()).toBe(span);
        span.end();
      });
      resolve();
    }, 1);
    await promise;
    tracer.startSpan("root", { root: true }).end();
    tracer.startSpan("explicit root", {}, ROOT_CONTEXT).end();
    tracer.startActiveSpan("in root", {}, ROOT_CONTEXT, (span) => {
      tracer.startSpan("below it").end();
      span.end();
    });
    context.with(ROOT_CONTEXT, () => tracer.startSpan("left").end());
    request.end();
  });
  const spans = spansOf(recorded);
  const { spanId, traceId } = spans["request"]!;
  expect(spans).toMatchObject({
    query: { parentId: spanId, traceId, depth: 1 },
    timer: { parentId: spanId },
    root: { parentId: undefined, depth: 0 },
    "explicit root": { parentId: undefined },
    "in root": { parentId: undefined },
    "below it": { parentId: spans["in root"]!.spanId },
    left: { parentId: undefined },
  });
  expect(spans["root"]!.traceId).not.toBe(traceId);
});

test("spans and logs of mv are in spans of the API, and the other way round", async () => {
  await using host = new TestHost();
  const { mv, recorded, tracer } = setUp(host);
  const inner = mv.span("of mv");
  await tracer.startActiveSpan("of the api", async (span) => {
    await Bun.sleep(1);
    mv.log.info("within");
    await inner.runAsync(async () => {
      await Bun.sleep(1);
      tracer.startSpan("innermost").end();
    });
    span.end();
  });
  const spans = spansOf(recorded);
  expect(spans).toMatchObject({
    "of mv": { parentId: spans["of the api"]!.spanId },
    innermost: { parentId: spans["of mv"]!.spanId },
  });
  expect(recorded.of("log")).toMatchObject([{ spanId: spans["of the api"]!.spanId }]);
});

test("without a context manager, startActiveSpan is the parent of what it calls", async () => {
  await using host = new TestHost();
  const { mv, recorded, tracer } = setUp(host);
  context.disable();
  await tracer.startActiveSpan("outer", async (span) => {
    await Bun.sleep(1);
    tracer.startSpan("inner").end();
    mv.log.info("said");
    span.end();
  });
  const { outer, inner } = spansOf(recorded);
  expect(inner!.parentId).toBe(outer!.spanId);
  expect(recorded.of("log")[0]!.spanId).toBe(outer!.spanId);
});

test("a caller's context is continued, with its flag and state, and given on by a propagator", async () => {
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host);
  const propagator = new W3CTraceContextPropagator();
  const getter = {
    get: (carrier: object, key: string) => Reflect.get(carrier, key),
    keys: Object.keys,
  };
  const setter = {
    set: (carrier: object, key: string, value: string) => void Reflect.set(carrier, key, value),
  };
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const from = (flags: string) =>
    propagator.extract(
      ROOT_CONTEXT,
      { traceparent: `00-${traceId}-00f067aa0ba902b7-${flags}`, tracestate: "vendor=1" },
      getter,
    );
  const outgoing: Record<string, string> = {};
  context.with(from("01"), () => {
    tracer.startActiveSpan("continued", (span) => {
      propagator.inject(context.active(), outgoing, setter);
      span.end();
    });
  });
  const unsampled = tracer.startSpan("unsampled", {}, from("00"));
  expect(unsampled.isRecording()).toBe(false);
  expect(unsampled.spanContext()).toMatchObject({ traceId, traceFlags: 0 });
  const { continued } = spansOf(recorded);
  expect(continued).toMatchObject({ traceId, parentId: "00f067aa0ba902b7" });
  expect(outgoing).toEqual({
    traceparent: `00-${traceId}-${continued!.spanId}-01`,
    tracestate: "vendor=1",
  });
  expect(recorded.of("begin")).toHaveLength(1);
  tracer.startSpan("of nobody", {}, trace.setSpanContext(ROOT_CONTEXT, INVALID_SPAN_CONTEXT)).end();
  expect(spansOf(recorded)["of nobody"]).toMatchObject({ parentId: undefined });
});

test("sampling is the client's, and is decided once for a trace", async () => {
  await using host = new TestHost();
  const { mv, recorded, tracer } = setUp(host, {}, { sample: 0 });
  tracer.startActiveSpan("outer", (span) => {
    expect(span.isRecording()).toBe(false);
    expect(span.spanContext().traceFlags).toBe(0);
    expect(trace.isSpanContextValid(span.spanContext())).toBe(true);
    tracer.startSpan("inner").end();
    span.setAttribute("a", 1).end();
  });
  mv.log.info("the ring is there");
  expect(recorded.of("begin")).toEqual([]);
});

test("where tracing is suppressed nothing is recorded", async () => {
  await using host = new TestHost();
  const { mv, recorded, tracer } = setUp(host);
  mv.log.info("the ring is there");
  context.with(suppressTracing(context.active()), () => {
    const span = tracer.startSpan("export");
    span.setAttribute("a", 1).addEvent("b").setStatus({ code: 2 }).end();
    expect(span.isRecording()).toBe(false);
  });
  expect(recorded.of("begin")).toEqual([]);
});

test("limits of spans hold, and what is left out is counted", async () => {
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host, {
    spanLimits: {
      attributeCountLimit: 3,
      attributeValueLengthLimit: 4,
      eventCountLimit: 1,
      linkCountLimit: 1,
      attributePerEventCountLimit: 1,
      attributePerLinkCountLimit: 1,
    },
  });
  const link = { context: { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 0 } };
  const span = tracer.startSpan("limited", { attributes: { a: "123456", b: ["123456"] } });
  span.setAttribute("c", 1).setAttribute("d", 2).setAttribute("c", 3);
  span.addEvent("one", { a: "123456", b: 2 }).addEvent("two");
  span.addLinks([{ ...link, attributes: { a: 1, b: 2 } }, link]);
  span.end();
  tracer.startSpan("too many", { attributes: { a: 1, b: 2, c: 3, d: 4 } }).end();
  const spans = spansOf(recorded);
  expect(spans["limited"]!.properties).toEqual({ a: "1234", b: ["1234"] });
  expect(spans["limited"]!.end!.properties).toMatchObject({
    c: 3,
    "otel.events": [{ name: "one", attributes: { a: "1234" } }],
    "otel.links": [{ attributes: { a: 1 } }],
    "otel.dropped_attributes": 3,
    "otel.dropped_events": 1,
    "otel.dropped_links": 1,
  });
  expect(spans["too many"]!.properties).toEqual({ a: 1, b: 2, c: 3 });
  expect(spans["too many"]!.end!.properties).toEqual({ "otel.dropped_attributes": 1 });
});

test("times that a program gives are properties, beside those of the ring", async () => {
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host);
  tracer.startSpan("given", { startTime: [1, 5] }).end(new Date(2000));
  expect(spansOf(recorded)["given"]!.end!.properties).toEqual({
    "otel.start_time_ns": "1000000005",
    "otel.end_time_ns": "2000000000",
  });
});

test("a status that was set as good stays so", async () => {
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host);
  const span = tracer.startSpan("good");
  span.setStatus({ code: SpanStatusCode.ERROR }).setStatus({ code: SpanStatusCode.UNSET });
  span.setStatus({ code: SpanStatusCode.OK }).setStatus({ code: SpanStatusCode.ERROR });
  span.end();
  expect(recorded.of("end")).toMatchObject([{ status: "ok" }]);
});

test("more names than are kept are recorded all the same", async () => {
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host);
  for (let i = 0; i < 700; i++) tracer.startSpan(`name ${i}`).end();
  expect(recorded.of("begin").map(({ name, target }) => `${name} ${target}`)).toEqual(
    Array.from({ length: 700 }, (_, i) => `name ${i} checkout`),
  );
});

test("no argument makes a call throw", async () => {
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host);
  const thrower = new Proxy(
    {},
    {
      get() {
        throw new Error("no");
      },
      ownKeys() {
        throw new Error("no");
      },
    },
  );
  const any = tracer as unknown as Record<"startSpan", (...values: unknown[]) => Span>;
  const calls = [
    ...["setAttribute", "setAttributes", "addEvent", "addLink", "addLinks", "setStatus"],
    ...["updateName", "recordException", "end"],
  ];
  for (const value of [undefined, null, 0, "", "text", Symbol("s"), [], {}, thrower, () => {}]) {
    for (const method of calls) {
      const span = any.startSpan("misused") as unknown as Record<
        string,
        (...values: unknown[]) => void
      >;
      span[method]!(value);
      span[method]!("key", value);
      span[method]!(value, value);
      span["end"]!();
    }
    any.startSpan(value, null).end();
    any
      .startSpan("options", { attributes: value, links: value, kind: value, startTime: value })
      .end();
    any.startSpan("parent", {}, trace.setSpan(ROOT_CONTEXT, value as Span)).end();
  }
  expect(recorded.of("begin").length).toBeGreaterThan(10);
});

test("secrets are hidden by their names, wherever a span has them", async () => {
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host);
  const secret = "swordfish";
  const attributes = { password: secret, "http.request.header.authorization": [secret] };
  const linked = { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 1 };
  const span = tracer.startSpan("secret", { attributes, links: [{ context: linked, attributes }] });
  span.setAttribute("api_key", secret).setAttributes(attributes).addEvent("event", attributes);
  span.end();
  expect(spansOf(recorded)["secret"]!.properties).toEqual({
    password: "[redacted]",
    "http.request.header.authorization": "[redacted]",
  });
  expect(recorded.text).not.toContain(secret);
});

test("a context manager binds functions and emitters, and gives values of contexts back", async () => {
  await using host = new TestHost();
  setUp(host);
  const [a, b] = [Symbol("a"), Symbol("b")];
  let made: Context = context.active();
  for (let i = 0; i < 3; i++) made = made.setValue(a, i).setValue(b, -i);
  expect([made.getValue(a), made.getValue(b)]).toEqual([2, -2]);
  expect(made.deleteValue(a).getValue(a)).toBeUndefined();
  expect(made.deleteValue(a).getValue(b)).toBe(-2);
  expect(made.deleteValue(a).deleteValue(b).getValue(b)).toBeUndefined();
  const bound = context.bind(made, function (this: unknown, x: number) {
    return [this, x, context.active().getValue(a)];
  });
  expect(bound.call("self", 5)).toEqual(["self", 5, 2]);
  expect(bound.length).toBe(1);
  const emitter = context.bind(made, new EventEmitter());
  const seen: unknown[] = [];
  const listener = () => void seen.push(context.active().getValue(b));
  emitter.on("event", listener);
  emitter.emit("event");
  emitter.off("event", listener);
  emitter.emit("event");
  expect(seen).toEqual([-2]);
  expect(context.with(made, (x: number) => [x, context.active() === made], undefined, 7)).toEqual([
    ...[7, true],
  ]);
});

test("nothing is recorded twice: Bun registers nothing with the API by itself, and who comes second is refused", async () => {
  const child = Bun.spawn(
    [
      process.execPath,
      "-e",
      `const server = Bun.serve({ port: 0, fetch: () => new Response("x") });
       await (await fetch(server.url)).text();
       await server.stop(true);
       console.log(Object.getOwnPropertySymbols(globalThis).map(String).filter((each) => each.includes("opentelemetry")).length);`,
    ],
    { env: surroundings(), stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  expect((await child.stdout.text()).trim()).toBe("0");
  await using host = new TestHost();
  const { recorded, tracer } = setUp(host);
  // As an SDK, or Bun, that is there already.
  expect(trace.setGlobalTracerProvider(new TracerProvider({ mv: host.client() }))).toBe(false);
  tracer.startSpan("once").end();
  expect(recorded.of("begin")).toHaveLength(1);
});
