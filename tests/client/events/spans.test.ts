// Spans as their service makes them: with properties, kinds and places, continued from other processes, and sampled.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type EventsOptions,
  formatTraceparent,
  type MicroView,
  parseTraceparent,
  type SpanKind,
} from "../../../src/client/index.ts";
import type { RingEvent } from "../../../src/layout/index.ts";
import { TestHost } from "../../support/host.ts";
import { eventsOf } from "./recorded.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const CALLER = "b7ad6b7169203331";
const SAMPLED = `00-${TRACE}-${CALLER}-01`;
const NOT_SAMPLED = `00-${TRACE}-${CALLER}-00`;

function service(host: TestHost, events: EventsOptions = {}): MicroView {
  return host.client({ poolDir: host.poolDir, events });
}

function begun(host: TestHost): (RingEvent & { kind: "begin" })[] {
  return eventsOf(host).filter((event) => event.kind === "begin");
}

describe("a span", () => {
  test("has its kind, target, place and the properties of both ends", async () => {
    await using host = new TestHost();
    const mv = service(host);
    const span = mv
      .span("GET /users/:id", { kind: "server", target: "http" })
      .begin({ properties: { method: "GET", password: "x" } });
    span.set("status", 200).set("rows", 1).set("rows", 2).set("__proto__", 1);
    span.end("error", { status: 500, token: "x" });
    span.set("late", 1);
    span.end();
    const [begin, end, ...others] = eventsOf(host);
    expect(begin).toMatchObject({
      kind: "begin",
      name: "GET /users/:id",
      spanKind: "server",
      target: "http",
      place: expect.stringMatching(/^tests\/client\/events\/spans\.test\.ts:\d+$/),
      isAsync: true,
      properties: { method: "GET", password: "[redacted]" },
    });
    expect(end).toMatchObject({
      kind: "end",
      status: "error",
      properties: { status: 500, rows: 2, token: "[redacted]" },
    });
    expect(others).toEqual([]);
  });

  test("whose function throws says what, and hides what is secret in it; the function is given the span", async () => {
    await using host = new TestHost();
    const work = service(host).span("work");
    const error = Object.assign(new TypeError("no answer"), { password: "x" });
    const thrown = (run: () => unknown) => expect(run).toThrow("no answer");
    thrown(() =>
      work.run((span) => {
        span.set("rows", 1);
        throw error;
      }),
    );
    await expect(
      work.runAsync(async (span) => {
        span.set("error.type", "timeout");
        throw error;
      }),
    ).rejects.toBe(error);
    await expect(work.runAsync(() => Promise.reject("a text"))).rejects.toBe("a text");
    const said = { name: "TypeError", message: "no answer", password: "[redacted]" };
    const ends = eventsOf(host).filter(({ kind }) => kind === "end");
    expect(ends).toMatchObject([
      {
        status: "error",
        properties: {
          ...{ rows: 1, "error.type": "TypeError" },
          error: { ...said, stack: expect.stringContaining("spans.test.ts") },
        },
      },
      { status: "error", properties: { "error.type": "timeout", error: said } },
      { status: "error", properties: { "error.type": "string", error: "a text" } },
    ]);
  });

  test("by run lies within others of its thread, one by begin or runAsync need not", async () => {
    await using host = new TestHost();
    const query = service(host).span("query");
    query.run(() => {}, { properties: { a: 1 } });
    await query.runAsync(async () => {});
    query.begin().end();
    expect(begun(host).map(({ isAsync }) => isAsync)).toEqual([false, true, true]);
  });

  test("is one of each name, kind and target, asked for again", async () => {
    await using host = new TestHost();
    const mv = service(host);
    expect(mv.span("a")).toBe(mv.span("a"));
    expect(mv.span("a", { kind: "client" })).toBe(mv.span("a", { kind: "client" }));
    expect(mv.span("a", { kind: "client" })).not.toBe(mv.span("a", { kind: "server" }));
    expect(mv.span("a")).not.toBe(mv.span("a", { target: "db" }));
    expect(mv.logger("db")).toBe(mv.logger("db"));
    expect(mv.logger("")).toBe(mv.log);
  });

  test("ends also where its properties cannot be read, and of a kind that there is not is internal", async () => {
    await using host = new TestHost();
    const mv = service(host);
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    mv.span("a", { kind: "nonsense" as SpanKind })
      .begin()
      .end("ok", revoked.proxy);
    const events = eventsOf(host);
    expect(events).toMatchObject([
      { kind: "begin", spanKind: "internal" },
      { kind: "end", status: "ok", properties: {} },
    ]);
  });
});

describe("the span that is open", () => {
  test("is the one of run, of runAsync after each wait, and of withSpan", async () => {
    await using host = new TestHost();
    const mv = service(host);
    const query = mv.span("query");
    expect(mv.currentSpan()).toBeUndefined();
    query.run(() => expect(mv.currentSpan()?.depth).toBe(0));
    await query.runAsync(async () => {
      const outer = mv.currentSpan();
      await Bun.sleep(1);
      expect(mv.currentSpan()).toBe(outer!);
      query.run(() => expect(mv.currentSpan()?.depth).toBe(1));
      expect(mv.currentSpan()).toBe(outer!);
    });
    expect(mv.currentSpan()).toBeUndefined();
    const span = query.begin();
    const logged = mv.withSpan(span, async () => {
      await Bun.sleep(1);
      mv.log.info("within");
      return query.begin();
    });
    expect(mv.currentSpan()).toBeUndefined();
    const below = await logged;
    expect(below.depth).toBe(1);
    const { spanId } = span.context;
    expect(eventsOf(host).filter(({ kind }) => kind === "log")).toMatchObject([{ spanId }]);
    expect(begun(host).at(-1)).toMatchObject({ parentId: spanId });
  });

  test("may be another one than the parent: a span of this service, of another, or none", async () => {
    await using host = new TestHost();
    const mv = service(host);
    const other = host.client({ poolDir: host.poolDir, service: "billing" });
    const query = mv.span("query");
    const parent = query.begin();
    const elsewhere = other.span("elsewhere").begin();
    query.run(() => {
      query.begin({ parent });
      query.begin({ parent: elsewhere });
      query.begin({ parent: parent.context });
      query.begin({ parent: null });
      query.begin({ parent: { traceId: "no", spanId: "id", flags: 1 } });
    });
    const spans = begun(host).filter(({ name }) => name === "query");
    const [first, run] = spans;
    expect(spans.slice(2).map(({ parentId, traceId }) => [parentId, traceId])).toEqual([
      [first!.spanId, first!.traceId],
      [elsewhere.context.spanId, elsewhere.context.traceId],
      [first!.spanId, first!.traceId],
      [undefined, expect.not.stringMatching(run!.traceId)],
      [undefined, expect.not.stringMatching(run!.traceId)],
    ]);
  });
});

describe("a trace from outside", () => {
  test("is continued where that is trusted, and its flags go on as they came", async () => {
    await using host = new TestHost();
    const mv = service(host, { trustTraceparent: true });
    const request = mv.span("request", { kind: "server" });
    const span = request.begin({ traceparent: `00-${TRACE}-${CALLER}-f1` });
    expect(span.context).toMatchObject({ traceId: TRACE, flags: 0xf1 });
    expect(span.traceparent).toBe(`00-${TRACE}-${span.context.spanId}-f1`);
    const inner = mv.withSpan(span, () => mv.span("query").begin());
    expect(inner.traceparent).toBe(`00-${TRACE}-${inner.context.spanId}-f1`);
    expect(begun(host)).toMatchObject([
      { name: "request", traceId: TRACE, parentId: CALLER, depth: 0 },
      { name: "query", traceId: TRACE, parentId: span.context.spanId, depth: 1 },
    ]);
  });

  test("is not continued elsewhere: the caller could fill the ring, or join traces", async () => {
    await using host = new TestHost();
    const span = service(host).span("request").begin({ traceparent: SAMPLED });
    expect(span.context.traceId).not.toBe(TRACE);
    expect(begun(host)).toMatchObject([{ parentId: undefined, traceId: span.context.traceId }]);
  });

  test("that is not sampled is not recorded here, but known, and said to the next", async () => {
    await using host = new TestHost();
    const mv = service(host, { trustTraceparent: true });
    const request = mv.span("request");
    await request.runAsync(
      async () => {
        const span = mv.currentSpan()!;
        expect(span.isRecording).toBe(false);
        expect(span.traceparent).toBe(`00-${TRACE}-${span.context.spanId}-00`);
        mv.log.info("a line of it");
        expect(mv.span("query").begin({ properties: { a: 1 } }).context.traceId).toBe(TRACE);
      },
      { traceparent: NOT_SAMPLED },
    );
    request.begin({ traceparent: NOT_SAMPLED }).set("a", 1).end("error", { b: 1 });
    expect(eventsOf(host).map(({ kind }) => kind)).toEqual(["log"]);
  });

  test("that cannot be read begins one here", async () => {
    await using host = new TestHost();
    const mv = service(host, { trustTraceparent: true });
    for (const traceparent of ["", "nonsense", null, undefined, SAMPLED.toUpperCase()]) {
      mv.span("request").begin({ traceparent });
    }
    const spans = begun(host);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(5);
    expect(spans.filter(({ parentId }) => parentId !== undefined)).toEqual([]);
  });
});

describe("the header traceparent", () => {
  test("reads back as it was written", () => {
    const hex = (digits: number) =>
      fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`)).filter((text) => !/^0+$/.test(text));
    fc.assert(
      fc.property(hex(32), hex(16), fc.nat(255), (traceId, spanId, flags) => {
        const context = { traceId, spanId, flags };
        expect(parseTraceparent(formatTraceparent(context))).toEqual(context);
      }),
    );
  });

  test.each([
    [`00-${TRACE}-${CALLER}-01-more`, "more than version 00 has"],
    [`ff-${TRACE}-${CALLER}-01`, "a version that there cannot be"],
    [`00-${"0".repeat(32)}-${CALLER}-01`, "no trace"],
    [`00-${TRACE}-${"0".repeat(16)}-01`, "no parent"],
    [`00-${TRACE}-${CALLER}-1`, "flags of one digit"],
    [`00-${TRACE}g-${CALLER}-01`, "what is not hexadecimal"],
    [`cc-${TRACE}-${CALLER}-01x`, "a later version that goes on without a dash"],
  ])("is refused: %s, %s", (header) => {
    expect(parseTraceparent(header)).toBeUndefined();
  });

  test("of a later version is read as far as it is known", () => {
    const context = { traceId: TRACE, spanId: CALLER, flags: 1 };
    expect(parseTraceparent(`cc-${TRACE}-${CALLER}-01-what-is-new`)).toEqual(context);
  });
});

describe("sampling", () => {
  test("is decided once for a trace, by its id", async () => {
    await using host = new TestHost();
    const mv = service(host, { sample: 1 / 4 });
    const request = mv.span("request");
    const query = mv.span("query");
    const kept = new Map<string, boolean>();
    for (let i = 0; i < 400; i++) {
      request.run(() => {
        const { context, isRecording } = mv.currentSpan()!;
        kept.set(context.traceId, isRecording);
        expect(context.flags).toBe(isRecording ? 1 : 0);
        expect(query.begin().isRecording).toBe(isRecording);
      });
    }
    const ids = [...kept].filter(([, isKept]) => isKept).map(([id]) => id);
    expect(ids.length).toBeGreaterThan(40);
    expect(ids.length).toBeLessThan(200);
    expect(ids.every((id) => Number.parseInt(id.slice(24), 16) < 2 ** 30)).toBe(true);
    expect(new Set(begun(host).map(({ traceId }) => traceId))).toEqual(new Set(ids));
    expect(begun(host)).toHaveLength(2 * ids.length);
  });

  test("of nothing leaves spans with ids, as switching spans off does", async () => {
    await using host = new TestHost();
    const [none, off] = [service(host, { sample: 0 }), service(host, { spans: false })];
    for (const mv of [none, off]) {
      const span = mv.span("request").begin();
      expect(parseTraceparent(span.traceparent)).toEqual(span.context);
      expect(span.context.flags).toBe(0);
      mv.withSpan(span, () => mv.log.info("recorded"));
    }
    expect(eventsOf(host).map(({ kind }) => kind)).toEqual(["log", "log"]);
  });
});
