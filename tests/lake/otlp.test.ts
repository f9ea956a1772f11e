// OTLP into a lake: by OpenTelemetry's own SDK and exporters of JavaScript, and by hand what those never send.

import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { context, SpanKind, SpanStatusCode, TraceFlags, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import type { LakeStatus } from "../../src/lake/index.ts";
import { TestHost } from "../support/host.ts";
import { keptIn, type Lake, lakeOf } from "../support/lakes.ts";

/** 2026-12-01T00:00:00Z. */
const NOW_NS = 1_796_083_200_000_000_000n;
const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID = "b7ad6b7169203331";

const RESOURCE = resourceFromAttributes({
  "service.namespace": "shop",
  "service.name": "auth",
  "service.instance.id": "auth-1",
  "host.name": "node-1",
  "process.pid": 42,
  "process.runtime.name": "nodejs",
  "process.runtime.version": "22.1.0",
  "k8s.pod.name": "auth-7f9",
  "deployment.environment": "test",
});

const statusOf = async (lake: Lake): Promise<LakeStatus> =>
  (await fetch(`${lake.url}/v1/status`)).json() as Promise<LakeStatus>;

describe("OpenTelemetry's SDK of JavaScript", () => {
  test("logs", async () => {
    await using host = new TestHost();
    const { lake } = await lakeOf(host);
    const exporter = new OTLPLogExporter({ url: `${lake.url}/v1/logs` });
    const provider = new LoggerProvider({
      resource: RESOURCE,
      processors: [new SimpleLogRecordProcessor({ exporter })],
    });
    const spanContext = { traceId: TRACE_ID, spanId: SPAN_ID, traceFlags: TraceFlags.SAMPLED };
    provider.getLogger("http").emit({
      severityNumber: SeverityNumber.ERROR2,
      severityText: "ERROR2",
      body: "no such user",
      timestamp: 1_796_083_200_123,
      attributes: { user: "ada", count: 3, ok: false, tags: ["a", "b"] },
      context: trace.setSpanContext(context.active(), spanContext),
    });
    provider.getLogger("http").emit({ body: { code: 7 }, eventName: "user.login" });
    await provider.shutdown();
    const { logs, processes } = await keptIn(lake.dir);
    expect(processes).toEqual([
      expect.objectContaining({
        ...{ app: "shop", service: "auth", pid: 42, host: "node-1", runtime: "nodejs 22.1.0" },
        properties: {
          ...{ "service.instance.id": "auth-1", "deployment.environment": "test" },
          pod: "auth-7f9",
        },
      }),
    ]);
    expect(logs).toHaveLength(2);
    const [first] = logs.filter(({ message }) => message === "no such user");
    expect(first).toMatchObject({
      ...{ timeNs: 1_796_083_200_123_000_000n, level: 1, target: "http" },
      spanId: BigInt(`0x${SPAN_ID}`),
    });
    expect(JSON.parse(first!["properties"] as string)).toEqual({
      ...{ user: "ada", count: 3, ok: false, tags: ["a", "b"] },
      ...{ trace_id: TRACE_ID, "otel.severity_text": "ERROR2" },
    });
    const [second] = logs.filter(({ message }) => message === '{"code":7}');
    expect(second).toMatchObject({ level: 3, spanId: 0n });
    expect(second!["properties"]).toBe('{"otel.event_name":"user.login"}');
  });

  test("what the recorder would hide is hidden", async () => {
    await using host = new TestHost();
    const { lake } = await lakeOf(host);
    const exporter = new OTLPLogExporter({ url: `${lake.url}/v1/logs` });
    const provider = new LoggerProvider({
      resource: RESOURCE,
      processors: [new SimpleLogRecordProcessor({ exporter })],
    });
    const SECRET = "correct-horse-battery";
    const attributes = {
      "http.request.header.authorization": [SECRET],
      "url.full": `http://ada:${SECRET}@x/?sig=${SECRET}`,
      "http.rawHeaders": ["Host", "x", "Cookie", SECRET],
      nested: { pass: SECRET },
    };
    provider.getLogger("http").emit({ body: { password: SECRET }, attributes });
    await provider.shutdown();
    const { logs } = await keptIn(lake.dir);
    expect(logs).toMatchObject([{ message: '{"password":"[redacted]"}' }]);
    expect(JSON.parse(logs[0]!["properties"] as string)).toEqual({
      "http.request.header.authorization": "[redacted]",
      "url.full": "http://[redacted]@x/?sig=[redacted]",
      "http.rawHeaders": ["Host", "x", "Cookie", "[redacted]"],
      nested: { pass: "[redacted]" },
    });
  });

  test("traces", async () => {
    await using host = new TestHost();
    const { lake } = await lakeOf(host);
    const exporter = new OTLPTraceExporter({ url: `${lake.url}/v1/traces` });
    const provider = new TracerProvider({
      resource: RESOURCE,
      spanProcessors: [new SimpleSpanProcessor({ exporter })],
    });
    const tracer = provider.getTracer("shop");
    const parent = tracer.startSpan("GET /users", { kind: SpanKind.SERVER });
    const child = tracer.startSpan(
      "select",
      { kind: SpanKind.CLIENT, attributes: { "code.file.path": "db.ts", "code.line.number": 7 } },
      trace.setSpan(context.active(), parent),
    );
    child.addEvent("retry", { attempt: 2 });
    child.setStatus({ code: SpanStatusCode.ERROR, message: "deadlock" });
    child.end();
    parent.end();
    await provider.shutdown();
    const { spans } = await keptIn(lake.dir);
    const of = (name: string) => spans.find((span) => span["name"] === name)!;
    const ids = parent.spanContext();
    expect(of("GET /users")).toMatchObject({
      ...{ kind: 1, status: 0, parentId: 0n, target: "shop", isAsync: 1 },
      spanId: BigInt(`0x${ids.spanId}`),
      traceHigh: BigInt(`0x${ids.traceId.slice(0, 16)}`),
      traceLow: BigInt(`0x${ids.traceId.slice(16)}`),
    });
    expect(of("select")).toMatchObject({
      ...{ kind: 2, status: 1, place: "db.ts:7", parentId: BigInt(`0x${ids.spanId}`) },
    });
    expect(JSON.parse(of("select")["properties"] as string)).toMatchObject({
      "otel.status_message": "deadlock",
      "otel.events": [{ name: "retry", attributes: { attempt: 2 } }],
    });
    expect((await statusOf(lake)).events.spans).toBe(2);
  });

  test("metrics", async () => {
    await using host = new TestHost();
    const { lake } = await lakeOf(host);
    const reader = new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ url: `${lake.url}/v1/metrics` }),
      exportIntervalMillis: 3_600_000,
      exportTimeoutMillis: 10_000,
    });
    const provider = new MeterProvider({ resource: RESOURCE, readers: [reader] });
    const meter = provider.getMeter("shop");
    meter.createCounter("requests", { unit: "1" }).add(3, { code: "200" });
    meter.createUpDownCounter("open").add(-2);
    const latency = meter.createHistogram("latency", {
      unit: "ms",
      advice: { explicitBucketBoundaries: [10, 100] },
    });
    for (const value of [5, 50, 500]) latency.record(value);
    await provider.shutdown();
    const { measures, blocks } = await keptIn(lake.dir);
    const points = measures.map(({ name, value, target, unit, properties }) => [
      ...[name, value, target, unit],
      properties === "" ? {} : JSON.parse(properties as string),
    ]);
    const scope = { otel_scope_name: "shop" };
    expect(points).toEqual([
      ["requests", 3, "counter", "1", { code: "200", ...scope }],
      ["open", -2, "updown", "", scope],
      ["latency_bucket", 1, "histogram", "ms", { ...scope, le: "10" }],
      ["latency_bucket", 2, "histogram", "ms", { ...scope, le: "100" }],
      ["latency_bucket", 3, "histogram", "ms", { ...scope, le: "+Inf" }],
      ["latency_count", 3, "histogram", "ms", scope],
      ["latency_sum", 555, "histogram", "ms", scope],
      ["latency_min", 5, "histogram", "ms", scope],
      ["latency_max", 500, "histogram", "ms", scope],
    ]);
    // They have a table of their own.
    expect(blocks.map(({ measures, metrics }) => [measures, metrics])).toEqual([[0, 9]]);
  });
});

const LOGS = {
  resourceLogs: [
    {
      resource: { attributes: [{ key: "service.name", value: { stringValue: "cart" } }] },
      scopeLogs: [
        {
          scope: { name: "json" },
          logRecords: [
            {
              timeUnixNano: String(NOW_NS),
              severityText: "Warning",
              body: { stringValue: "by JSON" },
              traceId: TRACE_ID.toUpperCase(),
              attributes: [
                { key: "big", value: { intValue: "9223372036854775807" } },
                { key: "nan", value: { doubleValue: "NaN" } },
                { key: "bytes", value: { bytesValue: "AAEC" } },
                {
                  key: "__proto__",
                  value: { kvlistValue: { values: [{ key: "a", value: { boolValue: true } }] } },
                },
              ],
              futureField: { unknown: 1 },
            },
          ],
        },
      ],
    },
  ],
};

function post(
  lake: Lake,
  signal: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
) {
  return fetch(`${lake.url}/v1/${signal}`, {
    ...{ method: "POST", body },
    headers: { "content-type": "application/json", ...headers },
  });
}

test("OTLP's JSON is taken, packed by gzip too, and what is sent again changes nothing", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const text = JSON.stringify(LOGS);
  const first = await post(lake, "logs", text);
  expect([first.status, await first.json()]).toEqual([200, {}]);
  expect(first.headers.get("content-type")).toBe("application/json");
  for (let again = 0; again < 3; again++) {
    const packed = await post(lake, "logs", gzipSync(text), { "content-encoding": "gzip" });
    expect(packed.status).toBe(200);
  }
  expect(await statusOf(lake)).toMatchObject({ blocks: 1, events: { logs: 1 } });
  const { logs, processes } = await keptIn(lake.dir);
  expect(processes[0]).toMatchObject({ app: "default", service: "cart" });
  expect(logs[0]).toMatchObject({ timeNs: NOW_NS, level: 2, target: "json", message: "by JSON" });
  const properties = JSON.parse(logs[0]!["properties"] as string);
  expect(Object.entries(properties)).toEqual([
    ["big", "9223372036854775807"],
    ["nan", "NaN"],
    ["bytes", "AAEC"],
    ["__proto__", { a: true }],
    ["trace_id", TRACE_ID],
    ["otel.severity_text", "Warning"],
  ]);
});

test("an empty request is taken, and keeps nothing", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  for (const body of ["{}", '{"resourceSpans":[]}', '{"resourceSpans":[{"scopeSpans":[]}]}']) {
    expect((await post(lake, "traces", body)).status).toBe(200);
  }
  const empty = await post(lake, "metrics", "", { "content-type": "application/x-protobuf" });
  expect([empty.status, (await empty.bytes()).length]).toEqual([200, 0]);
  expect((await statusOf(lake)).blocks).toBe(0);
});

test("what no table can hold is told as partial success, and the rest is kept", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const at = { startTimeUnixNano: String(NOW_NS), endTimeUnixNano: String(NOW_NS + 5n) };
  const spans = [
    { traceId: TRACE_ID, spanId: SPAN_ID, name: "right", ...at },
    { traceId: "00".repeat(16), spanId: SPAN_ID, name: "no trace", ...at },
    { traceId: TRACE_ID, spanId: "abcd", name: "short id", ...at },
    { traceId: TRACE_ID, spanId: SPAN_ID, ...at, endTimeUnixNano: String(2n ** 63n) },
  ];
  const answer = await post(
    lake,
    "traces",
    JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] }),
  );
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({
    partialSuccess: { rejectedSpans: "3", errorMessage: expect.any(String) },
  });
  expect((await keptIn(lake.dir)).spans.map(({ name }) => name)).toEqual(["right"]);
  expect((await statusOf(lake)).since.rejected).toEqual({ traces: 3 });
});

test("rows of different years are kept, in blocks of their own", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const times = [NOW_NS, 1n, NOW_NS + 1n, NOW_NS / 2n];
  const logRecords = times.map((time) => ({ timeUnixNano: String(time) }));
  await post(lake, "logs", JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] }));
  const { blocks, logs } = await keptIn(lake.dir);
  expect(blocks.map((block) => block.logs)).toEqual([1, 1, 2]);
  expect(logs.map(({ timeNs }) => timeNs)).toEqual([1n, NOW_NS / 2n, NOW_NS, NOW_NS + 1n]);
});

test("histograms with exponential buckets, summaries and points that end are rows as Prometheus has them", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const timeUnixNano = String(NOW_NS);
  const metrics = [
    {
      name: "size",
      exponentialHistogram: {
        aggregationTemporality: 2,
        dataPoints: [
          {
            ...{ timeUnixNano, count: "7", sum: 20, scale: 0, zeroCount: "1" },
            positive: { offset: 1, bucketCounts: ["2", "0", "3"] },
            negative: { offset: 0, bucketCounts: ["1"] },
          },
        ],
      },
    },
    {
      name: "age",
      summary: {
        dataPoints: [
          {
            ...{ timeUnixNano, count: 4, sum: 8 },
            quantileValues: [{ quantile: 0.5, value: 2 }],
          },
        ],
      },
    },
    { name: "gone", gauge: { dataPoints: [{ timeUnixNano, flags: 1 }] } },
    { name: "void", gauge: { dataPoints: [{ timeUnixNano }] } },
    {
      name: "torn",
      histogram: { dataPoints: [{ timeUnixNano, bucketCounts: ["1"], explicitBounds: [1, 2] }] },
    },
  ];
  const body = { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] };
  const answer = await post(lake, "metrics", JSON.stringify(body));
  expect(await answer.json()).toMatchObject({ partialSuccess: { rejectedDataPoints: "2" } });
  const { measures } = await keptIn(lake.dir);
  const points = measures.map(({ name, value, properties }) => [name, value, properties]);
  expect(points).toEqual([
    ["size_bucket", 1, '{"le":"-1"}'],
    ["size_bucket", 2, '{"le":"0"}'],
    ["size_bucket", 4, '{"le":"4"}'],
    ["size_bucket", 7, '{"le":"16"}'],
    ["size_bucket", 7, '{"le":"+Inf"}'],
    ["size_count", 7, ""],
    ["size_sum", 20, ""],
    ["age", 2, '{"quantile":"0.5"}'],
    ["age_sum", 8, ""],
    ["age_count", 4, ""],
  ]);
});

test("what is no OTLP is refused for good, in the sender's format, and bombs are not unpacked", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const deep = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":${'{"arrayValue":{"values":['.repeat(200)}{}${"]}}".repeat(200)}}]}]}]}`;
  expect((await post(lake, "logs", deep)).status).toBe(200);
  const bad = ["", "[]", "nonsense", '{"resourceLogs":{}}', '{"resourceLogs":[1]}'];
  for (const body of bad) {
    const answer = await post(lake, "logs", body);
    expect([body, answer.status]).toEqual([body, 400]);
    expect(await answer.json()).toEqual({ message: expect.any(String) });
  }
  const torn = await post(lake, "logs", Uint8Array.of(10, 200, 1), {
    "content-type": "application/x-protobuf",
  });
  expect([torn.status, torn.headers.get("content-type")]).toEqual([400, "application/x-protobuf"]);
  // Field 2 of google.rpc.Status: the message.
  expect((await torn.bytes())[0]).toBe(18);
  const bomb = gzipSync(Buffer.alloc(70_000_000, 32));
  const gzip = { "content-encoding": "gzip" };
  expect((await post(lake, "logs", bomb, gzip)).status).toBe(413);
  expect((await post(lake, "logs", "no gzip", gzip)).status).toBe(400);
  expect((await post(lake, "logs", "{}", { "content-encoding": "br" })).status).toBe(415);
  expect((await post(lake, "logs", "{}", { "content-type": "text/plain" })).status).toBe(415);
});

test("a small request that would be a million records is refused before it is any, and others are taken meanwhile", async () => {
  await using host = new TestHost();
  const { lake, log } = await lakeOf(host, {
    tokens: [
      { token: "token-of-the-shop", name: "shop", scopes: ["ingest"], apps: ["shop"] },
      { token: "token-of-everybody", name: "all", scopes: ["ingest", "read"] },
    ],
  });
  const as = (token: string) => ({ authorization: `Bearer ${token}` });
  const gzip = { ...as("token-of-the-shop"), "content-encoding": "gzip" };
  const records = (count: number) =>
    gzipSync(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[${"{},".repeat(count)}{}]}]}]}`);
  const bombs = Array.from({ length: 8 }, () => post(lake, "logs", records(10_000_000), gzip));
  const other = await post(lake, "logs", JSON.stringify(LOGS), as("token-of-everybody"));
  expect(other.status).toBe(200);
  for (const bomb of bombs) {
    const answer = await bomb;
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining("values")]);
  }
  // No more than may be, and of another application.
  expect((await post(lake, "logs", records(100_000), gzip)).status).toBe(403);
  expect(log.some(({ message }) => message === "OTLP was refused")).toBeTrue();
});

test("a full disk is told so that senders try again", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host, { reserveBytes: Number.MAX_SAFE_INTEGER });
  const answer = await post(lake, "logs", JSON.stringify(LOGS));
  expect(answer.status).toBe(503);
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
});

test("tokens bring OTLP of their applications alone", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host, {
    tokens: [
      { token: "token-of-the-shop", name: "shop", scopes: ["ingest"], apps: ["shop"] },
      { token: "token-of-everybody", name: "all", scopes: ["ingest"] },
    ],
  });
  const as = (token: string) => ({ authorization: `Bearer ${token}` });
  const body = JSON.stringify(LOGS);
  expect((await post(lake, "logs", body, as("token-of-the-shop"))).status).toBe(403);
  expect((await post(lake, "logs", body)).status).toBe(401);
  expect((await post(lake, "logs", body, as("token-of-everybody"))).status).toBe(200);
});
