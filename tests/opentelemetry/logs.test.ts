// Logs of OpenTelemetry's API are recorded in the ring.

import { afterEach, expect, test } from "bun:test";
import { context, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import {
  type LoggerProvider as LoggerProviderApi,
  logs,
  SeverityNumber,
} from "@opentelemetry/api-logs";
import { LEVELS } from "../../src/layout/index.ts";
import { ContextManager, LoggerProvider, TracerProvider } from "../../src/opentelemetry/index.ts";
import { TestHost } from "../support/host.ts";
import { Recorded } from "../support/recorded.ts";

afterEach(() => {
  logs.disable();
  trace.disable();
  context.disable();
});

function setUp(host: TestHost, events: object = {}) {
  const mv = host.client({ poolDir: host.poolDir, events });
  const provider: LoggerProviderApi = new LoggerProvider({ mv });
  logs.setGlobalLoggerProvider(provider);
  return { mv, recorded: new Recorded(host), logger: logs.getLogger("checkout", "1.0.0") };
}

test("severities are levels, bodies messages, attributes properties, and the scope is the target", async () => {
  await using host = new TestHost();
  const { recorded, logger } = setUp(host, { level: "trace" });
  const { TRACE, DEBUG2, INFO, WARN4, ERROR, FATAL } = SeverityNumber;
  for (const severityNumber of [TRACE, DEBUG2, INFO, WARN4, ERROR, FATAL]) {
    logger.emit({
      severityNumber,
      body: `at ${severityNumber}`,
      attributes: { n: severityNumber },
    });
  }
  logger.emit({ body: "of no severity" });
  logger.emit({ severityText: "Warning", body: "by a word" });
  const found = recorded.of("log");
  expect(found.map(({ level, message, target }) => [level, message, target])).toEqual([
    ...[TRACE, DEBUG2, INFO, WARN4, ERROR, FATAL].map((n, i) => [
      ...[LEVELS[5 - i], `at ${n}`, "checkout"],
    ]),
    ["info", "of no severity", "checkout"],
    ["warn", "by a word", "checkout"],
  ] as never);
  expect(found[0]!.properties).toEqual({ n: TRACE });
  expect(found.at(-1)!.properties).toEqual({ "otel.severity_text": "Warning" });
});

test("what else a record has is in properties", async () => {
  await using host = new TestHost();
  const { recorded, logger } = setUp(host);
  logger.emit({ body: { order: 7, items: ["a"] }, eventName: "order.placed", timestamp: [1, 5] });
  logger.emit({ exception: new Error("failed"), severityNumber: SeverityNumber.ERROR });
  logger.emit({ body: 42, timestamp: Date.now(), attributes: { a: 1 } });
  expect(recorded.of("log")).toMatchObject([
    {
      message: "",
      properties: {
        body: { order: 7, items: ["a"] },
        "otel.event_name": "order.placed",
        "otel.time_ns": "1000000005",
      },
    },
    {
      level: "error",
      message: "failed",
      properties: { error: { name: "Error", message: "failed" } },
    },
    { message: "42", properties: { a: 1 } },
  ]);
  expect(recorded.of("log")[2]!.properties).toEqual({ a: 1 });
});

test("a record is of the span of its context, of ours or of others", async () => {
  await using host = new TestHost();
  const { mv, recorded, logger } = setUp(host);
  trace.setGlobalTracerProvider(new TracerProvider({ mv }));
  context.setGlobalContextManager(new ContextManager());
  const span = trace.getTracer("t").startSpan("request");
  const within = trace.setSpan(ROOT_CONTEXT, span);
  logger.emit({ body: "given", context: within });
  context.with(within, () => logger.emit({ body: "active" }));
  const remote = { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 1 };
  logger.emit({ body: "remote", context: trace.setSpanContext(ROOT_CONTEXT, remote) });
  logger.emit({ body: "of none" });
  const { spanId } = span.spanContext();
  expect(recorded.of("log").map((log) => [log.message, log.spanId])).toEqual([
    ["given", spanId],
    ["active", spanId],
    ["remote", undefined],
    ["of none", undefined],
  ]);
  expect(recorded.of("log")[2]!.properties).toEqual({
    trace_id: remote.traceId,
    span_id: remote.spanId,
  });
});

test("levels are the client's, and what operators ask for", async () => {
  await using host = new TestHost();
  const { mv, recorded, logger } = setUp(host, { level: "warn" });
  const { INFO, ERROR } = SeverityNumber;
  mv.log.error("the ring is there");
  const enabled = () => [INFO, ERROR].map((severityNumber) => logger.enabled({ severityNumber }));
  expect(enabled()).toEqual([false, true]);
  logger.emit({ severityNumber: INFO, body: "not seen" });
  recorded.ask(LEVELS.indexOf("info") + 1);
  expect(enabled()).toEqual([true, true]);
  logger.emit({ severityNumber: INFO, body: "seen" });
  recorded.ask(7);
  expect(enabled()).toEqual([false, false]);
  logger.emit({ severityNumber: ERROR, body: "off" });
  expect(recorded.messages).toEqual(["the ring is there", "seen"]);
});

test("secrets are hidden by their names, and nothing makes it throw", async () => {
  await using host = new TestHost();
  const { recorded, logger } = setUp(host);
  const secret = "swordfish";
  logger.emit({
    body: { password: secret },
    attributes: { token: secret, list: [{ cookie: secret }] },
  });
  const thrower = new Proxy(
    {},
    {
      get() {
        throw new Error("no");
      },
    },
  );
  const emit = logger.emit.bind(logger) as (record: unknown) => void;
  for (const value of [undefined, null, 5, "x", Symbol("s"), thrower, []]) {
    emit(value);
    for (const key of [
      "body",
      "attributes",
      "severityNumber",
      "severityText",
      "timestamp",
      "eventName",
      "context",
      "exception",
    ]) {
      emit({ [key]: value });
    }
  }
  expect(recorded.text).not.toContain(secret);
});
