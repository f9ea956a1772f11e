// A receiver of OTLP over HTTP that answers as it is told, and reads what it gets by protobufjs and the specification's
// messages, or by the rules of OTLP's JSON.

import protobuf from "protobufjs";

// https://github.com/open-telemetry/opentelemetry-proto/tree/v1.3.2: what metrics need of it.
const root = protobuf.parse(
  `
  syntax = "proto3";
  message ExportMetricsServiceRequest { repeated ResourceMetrics resource_metrics = 1; }
  message ExportMetricsServiceResponse { ExportMetricsPartialSuccess partial_success = 1; }
  message ExportMetricsPartialSuccess { int64 rejected_data_points = 1; string error_message = 2; }
  message ResourceMetrics {
    Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; string schema_url = 3;
  }
  message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
  message ScopeMetrics {
    InstrumentationScope scope = 1; repeated Metric metrics = 2; string schema_url = 3;
  }
  message InstrumentationScope { string name = 1; string version = 2; }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
  message Metric {
    string name = 1; string description = 2; string unit = 3;
    oneof data {
      Gauge gauge = 5; Sum sum = 7; Histogram histogram = 9;
      ExponentialHistogram exponential_histogram = 10;
    }
  }
  message Gauge { repeated NumberDataPoint data_points = 1; }
  enum AggregationTemporality { UNSPECIFIED = 0; DELTA = 1; CUMULATIVE = 2; }
  message Sum {
    repeated NumberDataPoint data_points = 1;
    AggregationTemporality aggregation_temporality = 2; bool is_monotonic = 3;
  }
  message Histogram {
    repeated HistogramDataPoint data_points = 1; AggregationTemporality aggregation_temporality = 2;
  }
  message ExponentialHistogram {
    repeated ExponentialHistogramDataPoint data_points = 1;
    AggregationTemporality aggregation_temporality = 2;
  }
  message NumberDataPoint {
    repeated KeyValue attributes = 7; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
    oneof value { double as_double = 4; sfixed64 as_int = 6; }
    uint32 flags = 8;
  }
  message HistogramDataPoint {
    repeated KeyValue attributes = 9; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
    fixed64 count = 4; optional double sum = 5; repeated fixed64 bucket_counts = 6;
    repeated double explicit_bounds = 7; uint32 flags = 10;
  }
  message ExponentialHistogramDataPoint {
    repeated KeyValue attributes = 1; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
    fixed64 count = 4; optional double sum = 5; sint32 scale = 6; fixed64 zero_count = 7;
    Buckets positive = 8; Buckets negative = 9; uint32 flags = 10; double zero_threshold = 14;
    message Buckets { sint32 offset = 1; repeated uint64 bucket_counts = 2; }
  }
  `,
).root;
export const OtlpRequest = root.lookupType("ExportMetricsServiceRequest");
const Answer = root.lookupType("ExportMetricsServiceResponse");

/** A point as both formats say it: numbers for counts, text for times in ns. */
export interface ReceivedPoint {
  attributes: Record<string, string>;
  startTimeUnixNano?: string;
  timeUnixNano: string;
  asDouble?: number;
  count?: number;
  sum?: number;
  bucketCounts?: number[];
  explicitBounds?: number[];
  scale?: number;
  zeroCount?: number;
  zeroThreshold?: number;
  positive?: { offset: number; bucketCounts: number[] };
  flags?: number;
}

export interface ReceivedMetric {
  resource: Record<string, string>;
  scope: { name: string; version: string };
  name: string;
  description: string;
  unit: string;
  kind: string;
  temporality: number | undefined;
  isMonotonic: boolean | undefined;
  points: ReceivedPoint[];
}

/** Protobuf's JSON of a message, which is OTLP's but for bytes. */
function toJson(bytes: Uint8Array): Json {
  return OtlpRequest.toObject(OtlpRequest.decode(bytes), { longs: String, json: true }) as Json;
}

type Json = {
  resourceMetrics?: {
    resource: { attributes?: Pair[] };
    scopeMetrics: {
      scope: { name: string; version: string };
      metrics: Record<string, unknown>[];
    }[];
  }[];
};
type Pair = { key: string; value: { stringValue?: string; intValue?: string } };

const KINDS = ["gauge", "sum", "histogram", "exponentialHistogram"];

/** @throws Error for JSON with a 64-bit number that is no text, which its rules forbid */
export function received(body: Uint8Array, contentType: string): ReceivedMetric[] {
  const isJson = contentType === "application/json";
  const message = isJson ? (JSON.parse(new TextDecoder().decode(body)) as Json) : toJson(body);
  return (message.resourceMetrics ?? []).flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics.flatMap(({ scope, metrics }) =>
      metrics.map((metric) => {
        const kind = KINDS.find((each) => each in metric)!;
        const data = metric[kind] as {
          dataPoints: Record<string, unknown>[];
          aggregationTemporality?: number;
          isMonotonic?: boolean;
        };
        return {
          resource: pairs(resource.attributes),
          scope,
          name: String(metric["name"]),
          description: String(metric["description"] ?? ""),
          unit: String(metric["unit"] ?? ""),
          kind,
          temporality: data.aggregationTemporality,
          isMonotonic: data.isMonotonic,
          points: data.dataPoints.map(pointOf),
        };
      }),
    ),
  );
}

function pointOf(point: Record<string, unknown>): ReceivedPoint {
  for (const name of ["startTimeUnixNano", "timeUnixNano", "count", "zeroCount"]) {
    const value = point[name];
    if (value !== undefined && typeof value !== "string") throw new Error(`${name} is no text`);
  }
  const { attributes, count, zeroCount, bucketCounts, positive, ...rest } = point;
  // What is nought may be left out of protobuf.
  const nought = positive === undefined ? {} : { scale: 0, zeroCount: 0 };
  const buckets = positive as { offset?: number; bucketCounts?: string[] } | undefined;
  return {
    ...nought,
    ...(rest as Omit<ReceivedPoint, "attributes">),
    attributes: pairs(attributes as Pair[] | undefined),
    ...(count === undefined ? {} : { count: Number(count) }),
    ...(zeroCount === undefined ? {} : { zeroCount: Number(zeroCount) }),
    ...(bucketCounts === undefined ? {} : { bucketCounts: (bucketCounts as string[]).map(Number) }),
    ...(buckets === undefined
      ? {}
      : {
          positive: {
            offset: buckets.offset ?? 0,
            bucketCounts: (buckets.bucketCounts ?? []).map(Number),
          },
        }),
  };
}

function pairs(attributes: Pair[] = []): Record<string, string> {
  const textOf = ({ stringValue, intValue }: Pair["value"]) => stringValue ?? String(intValue);
  return Object.fromEntries(attributes.map(({ key, value }) => [key, textOf(value)]));
}

/** An answer that says that some points were not taken. */
export function partialSuccess(rejected: number, message: string, json: boolean): Response {
  if (json) {
    const text = {
      partialSuccess: { rejectedDataPoints: String(rejected), errorMessage: message },
    };
    return Response.json(text);
  }
  const answer = { partialSuccess: { rejectedDataPoints: rejected, errorMessage: message } };
  const bytes = Answer.encode(Answer.fromObject(answer)).finish();
  const body = new Uint8Array(bytes);
  return new Response(body, { headers: { "content-type": "application/x-protobuf" } });
}

export class OtlpReceiver implements AsyncDisposable {
  readonly metrics: ReceivedMetric[] = [];
  readonly headers: Headers[] = [];
  readonly paths: string[] = [];
  /** Requests that were answered otherwise than that they were taken. */
  failed = 0;
  readonly #server;

  /** @param answers first to last; then everything is taken */
  constructor(readonly answers: (() => Response)[] = []) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const { headers } = request;
        const answer = this.answers.shift()?.();
        const body = new Uint8Array(await request.arrayBuffer());
        if (answer !== undefined && !answer.ok) {
          this.failed++;
          return answer;
        }
        this.headers.push(headers);
        this.paths.push(new URL(request.url).pathname);
        const plain = headers.get("content-encoding") === "gzip" ? Bun.gunzipSync(body) : body;
        this.metrics.push(...received(plain, headers.get("content-type") ?? ""));
        return answer ?? new Response(null, { status: 200 });
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}
