// OTLP's messages (opentelemetry-proto 1.5), out of protobuf or of OTLP's JSON. Both become objects with the same names,
// which are read field by field by what is exported here: nothing is taken for granted.

import protobuf from "protobufjs";

export const SIGNALS = ["logs", "traces", "metrics"] as const;
export type Signal = (typeof SIGNALS)[number];

/** What was sent is no message of OTLP. */
export class OtlpError extends Error {
  override readonly name = "OtlpError";
}

/** A message, with no field checked. */
export type Message = Readonly<Record<string, unknown>>;

const DEFINITIONS = `
syntax = "proto3";
message LogsRequest { repeated ResourceLogs resource_logs = 1; }
message TracesRequest { repeated ResourceSpans resource_spans = 1; }
message MetricsRequest { repeated ResourceMetrics resource_metrics = 1; }
message Answer { PartialSuccess partial_success = 1; }
message PartialSuccess { int64 rejected = 1; string error_message = 2; }
message Status { int32 code = 1; string message = 2; }

message Origins { repeated Origin origins = 1; message Origin { Resource resource = 1; } }
message Resource { repeated KeyValue attributes = 1; }
message Scope { string name = 1; string version = 2; repeated KeyValue attributes = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
    ArrayValue array_value = 5; KeyValueList kvlist_value = 6; bytes bytes_value = 7;
  }
}
message ArrayValue { repeated AnyValue values = 1; }
message KeyValueList { repeated KeyValue values = 1; }

message ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; }
message ScopeLogs { Scope scope = 1; repeated LogRecord log_records = 2; }
message LogRecord {
  fixed64 time_unix_nano = 1; int32 severity_number = 2; string severity_text = 3; AnyValue body = 5;
  repeated KeyValue attributes = 6; uint32 dropped_attributes_count = 7; fixed32 flags = 8;
  bytes trace_id = 9; bytes span_id = 10; fixed64 observed_time_unix_nano = 11; string event_name = 12;
}

message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4;
  string name = 5; int32 kind = 6; fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9; uint32 dropped_attributes_count = 10;
  repeated Event events = 11; uint32 dropped_events_count = 12;
  repeated Link links = 13; uint32 dropped_links_count = 14; SpanStatus status = 15;
  message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
  message Link { bytes trace_id = 1; bytes span_id = 2; repeated KeyValue attributes = 4; }
}
message SpanStatus { string message = 2; int32 code = 3; }

message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; }
message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; }
message Metric {
  string name = 1; string unit = 3;
  oneof data {
    Points gauge = 5; Sum sum = 7; Histogram histogram = 9;
    ExponentialHistogram exponential_histogram = 10; Summary summary = 11;
  }
}
message Points { repeated NumberDataPoint data_points = 1; }
message Sum { repeated NumberDataPoint data_points = 1; int32 aggregation_temporality = 2; bool is_monotonic = 3; }
message Histogram { repeated HistogramDataPoint data_points = 1; int32 aggregation_temporality = 2; }
message ExponentialHistogram { repeated ExponentialHistogramDataPoint data_points = 1; int32 aggregation_temporality = 2; }
message Summary { repeated SummaryDataPoint data_points = 1; }
message NumberDataPoint {
  fixed64 time_unix_nano = 3; oneof value { double as_double = 4; sfixed64 as_int = 6; }
  repeated KeyValue attributes = 7; uint32 flags = 8;
}
message HistogramDataPoint {
  fixed64 time_unix_nano = 3; fixed64 count = 4; optional double sum = 5; repeated fixed64 bucket_counts = 6;
  repeated double explicit_bounds = 7; repeated KeyValue attributes = 9; uint32 flags = 10;
  optional double min = 11; optional double max = 12;
}
message ExponentialHistogramDataPoint {
  repeated KeyValue attributes = 1; fixed64 time_unix_nano = 3; fixed64 count = 4; optional double sum = 5;
  sint32 scale = 6; fixed64 zero_count = 7; Buckets positive = 8; Buckets negative = 9; uint32 flags = 10;
  optional double min = 12; optional double max = 13; double zero_threshold = 14;
  message Buckets { sint32 offset = 1; repeated uint64 bucket_counts = 2; }
}
message SummaryDataPoint {
  fixed64 time_unix_nano = 3; fixed64 count = 4; double sum = 5; repeated Quantile quantile_values = 6;
  repeated KeyValue attributes = 7; uint32 flags = 8;
  message Quantile { double quantile = 1; double value = 2; }
}
`;

const { root } = protobuf.parse(DEFINITIONS);
const REQUESTS = {
  logs: root.lookupType("LogsRequest"),
  traces: root.lookupType("TracesRequest"),
  metrics: root.lookupType("MetricsRequest"),
};
/** The part of a request of any signal that says who sends it. */
const ORIGINS = root.lookupType("Origins");
const ANSWER = root.lookupType("Answer");
const STATUS = root.lookupType("Status");

/** What a request of a signal is made of. */
export function requestType(signal: Signal): protobuf.Type {
  return REQUESTS[signal];
}

/** @throws OtlpError when it is no request of that signal */
export function decodeRequest(signal: Signal, bytes: Uint8Array, isJson: boolean): Message {
  try {
    if (!isJson) return decode(REQUESTS[signal], bytes);
    const value: unknown = JSON.parse(strictDecoder.decode(bytes));
    return messageOf(value, "the request");
  } catch (error) {
    if (error instanceof OtlpError) throw error;
    const format = isJson ? "JSON" : "protobuf";
    throw new OtlpError(`the body is no ${format} of OTLP ${signal}: ${(error as Error).message}`);
  }
}

function decode(type: protobuf.Type, bytes: Uint8Array): Message {
  const reader = protobuf.Reader.create(bytes);
  reader.discardUnknown = true;
  return type.decode(reader) as unknown as Message;
}

/** The resources of a request in protobuf, without the rest of it. @throws OtlpError */
export function decodeResources(bytes: Uint8Array): Message[] {
  try {
    return messagesIn(decode(ORIGINS, bytes), "origins").map((each) => messageIn(each, "resource"));
  } catch (error) {
    if (error instanceof OtlpError) throw error;
    throw new OtlpError(`the body is no protobuf of OTLP: ${(error as Error).message}`);
  }
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true });

const REJECTED = {
  logs: "rejectedLogRecords",
  traces: "rejectedSpans",
  metrics: "rejectedDataPoints",
} as const;

/** What a request that was taken is answered: all of it, or all but some. */
export function encodeAnswer(
  signal: Signal,
  { rejected, reason }: { rejected: number; reason: string },
  isJson: boolean,
): Uint8Array | string {
  if (isJson) {
    const partialSuccess = { [REJECTED[signal]]: String(rejected), errorMessage: reason };
    return JSON.stringify(rejected === 0 ? {} : { partialSuccess });
  }
  const partialSuccess = { rejected, errorMessage: reason };
  return ANSWER.encode(rejected === 0 ? {} : { partialSuccess }).finish();
}

/** The body of an error, google.rpc.Status, as OTLP wants it. */
export function encodeStatus(message: string, isJson: boolean): Uint8Array | string {
  return isJson ? JSON.stringify({ message }) : STATUS.encode({ message }).finish();
}

/** @throws OtlpError */
export function messageOf(value: unknown, what: string): Message {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Message;
  throw new OtlpError(`${what} is no message`);
}

/** Messages of a repeated field; none where it is not there. @throws OtlpError */
export function messagesIn(message: Message, field: string): Message[] {
  return listIn(message, field).map((each) => messageOf(each, `an element of ${field}`));
}

/** @throws OtlpError */
export function listIn(message: Message, field: string): readonly unknown[] {
  const value = message[field] ?? [];
  if (!Array.isArray(value)) throw new OtlpError(`${field} is no list`);
  return value;
}

/** A field that is a message; an empty one where it is not there. @throws OtlpError */
export function messageIn(message: Message, field: string): Message {
  return messageOf(message[field] ?? {}, field);
}

/** @throws OtlpError */
export function textIn(message: Message, field: string): string {
  const value = message[field] ?? "";
  if (typeof value !== "string") throw new OtlpError(`${field} is no text`);
  return value;
}

/** A double or a small integer; in JSON also the text of a number. @throws OtlpError */
export function numberIn(message: Message, field: string): number {
  return numberOf(message[field] ?? 0, field);
}

/** @throws OtlpError */
export function numberOf(value: unknown, what: string): number {
  if (typeof value === "number") return value;
  if (typeof value === "string") {
    // Protobuf's JSON has these as text.
    const special = {
      NaN: Number.NaN,
      Infinity: Number.POSITIVE_INFINITY,
      "-Infinity": Number.NEGATIVE_INFINITY,
    }[value];
    const number = special ?? (value.trim() === "" ? Number.NaN : Number(value));
    if (special !== undefined || !Number.isNaN(number)) return number;
  }
  if (isLong(value)) return Number(longOf(value, what));
  throw new OtlpError(`${what} is no number`);
}

/** A 64-bit integer: JSON has it as text, and some senders as a number. @throws OtlpError */
export function longIn(message: Message, field: string): bigint {
  return longOf(message[field] ?? 0, field);
}

/** @throws OtlpError */
export function longOf(value: unknown, what: string): bigint {
  if (isLong(value)) {
    const bits = (BigInt(value.high >>> 0) << 32n) | BigInt(value.low >>> 0);
    return value.unsigned ? bits : BigInt.asIntN(64, bits);
  }
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  if (typeof value === "string" && /^-?\d{1,20}$/.test(value)) return BigInt(value);
  throw new OtlpError(`${what} is no integer`);
}

/** What protobufjs has 64 bits in. */
function isLong(value: unknown): value is { low: number; high: number; unsigned: boolean } {
  if (typeof value !== "object" || value === null) return false;
  const { low, high } = value as { low?: unknown; high?: unknown };
  return typeof low === "number" && typeof high === "number";
}

/** A longer one is none, and stays too long when it is cut. */
const ID_DIGITS_MAX = 64;

/** An id as hex digits in lower case; "" where there is none. In JSON it is text, unlike protobuf's other bytes. @throws OtlpError */
export function idIn(message: Message, field: string): string {
  const value = message[field] ?? "";
  if (value instanceof Uint8Array) {
    return Buffer.from(value.subarray(0, ID_DIGITS_MAX / 2)).toString("hex");
  }
  const digits = typeof value === "string" ? value.slice(0, ID_DIGITS_MAX) : "-";
  if (/^[0-9a-fA-F]*$/.test(digits)) return digits.toLowerCase();
  // protobufjs's empty bytes
  if (Array.isArray(value) && value.length === 0) return "";
  throw new OtlpError(`${field} is no hex digits`);
}

/** Which field of a oneof is there. */
export function oneOf<Field extends string>(
  message: Message,
  fields: readonly Field[],
): Field | undefined {
  return fields.find((field) => Object.hasOwn(message, field) && message[field] !== null);
}
