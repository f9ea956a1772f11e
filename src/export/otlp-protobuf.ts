// Writes OTLP's metrics request as protobuf, and reads what the receiver says to it.
// Field numbers: opentelemetry/proto/{collector/metrics,metrics,resource,common}/v1/*.proto, v1.3.2.

import {
  type Attributes,
  type ExponentialPoint,
  type HistogramPoint,
  NO_RECORDED_VALUE,
  type NumberPoint,
  type OtlpMetric,
  type OtlpRequest,
  temporalityOf,
} from "./otlp-model.ts";
import { ProtoWriter } from "./protobuf.ts";

const DATA_FIELD = { gauge: 5, sum: 7, histogram: 9, exponential: 10 } as const;

export function encodeProtobuf({ temporality, resources }: OtlpRequest): Uint8Array {
  const w = new ProtoWriter(64 << 10);
  for (const { resource, scope, metrics } of resources) {
    w.open(1).open(1);
    attributes(w, 1, resource);
    w.close().open(2);
    w.open(1).string(1, scope.name).string(2, scope.version).close();
    for (const metric of metrics) writeMetric(w, metric, temporalityOf(metric, temporality));
    w.close().close();
  }
  return w.bytes.slice();
}

function writeMetric(w: ProtoWriter, metric: OtlpMetric, temporality: number): void {
  const { name, description, unit, kind } = metric;
  w.open(2).string(1, name);
  if (description !== "") w.string(2, description);
  if (unit !== "") w.string(3, unit);
  w.open(DATA_FIELD[kind]);
  switch (kind) {
    case "gauge":
    case "sum":
      for (const point of metric.points) writeNumber(w, point);
      break;
    case "histogram":
      for (const point of metric.points) writeHistogram(w, point, metric.bounds);
      break;
    case "exponential":
      for (const point of metric.points) {
        writeExponential(w, point, metric.scale, metric.zeroThreshold);
      }
  }
  if (kind !== "gauge") w.uint(2, temporality);
  if (metric.kind === "sum") w.bool(3, metric.isMonotonic);
  w.close().close();
}

function writeNumber(w: ProtoWriter, point: NumberPoint): void {
  w.open(1);
  writeTimes(w, point);
  if (!point.ended) w.double(4, point.value);
  attributes(w, 7, point.attributes);
  if (point.ended) w.uint(8, NO_RECORDED_VALUE);
  w.close();
}

function writeHistogram(w: ProtoWriter, point: HistogramPoint, bounds: readonly number[]): void {
  w.open(1);
  writeTimes(w, point);
  if (!point.ended) {
    w.fixed64(4, BigInt(point.count)).double(5, point.sum);
    w.packedFixed64(6, point.counts).packedDoubles(7, bounds);
  }
  attributes(w, 9, point.attributes);
  if (point.ended) w.uint(10, NO_RECORDED_VALUE);
  w.close();
}

function writeExponential(
  w: ProtoWriter,
  point: ExponentialPoint,
  scale: number,
  zeroThreshold: number,
): void {
  w.open(1);
  attributes(w, 1, point.attributes);
  writeTimes(w, point);
  if (point.ended) {
    w.uint(10, NO_RECORDED_VALUE).close();
    return;
  }
  w.fixed64(4, BigInt(point.count)).double(5, point.sum).sint(6, scale);
  w.fixed64(7, BigInt(point.zeroCount));
  w.open(8).sint(1, point.offset).packedVarints(2, point.counts).close();
  w.double(14, zeroThreshold).close();
}

function writeTimes(w: ProtoWriter, { startNs, timeNs }: NumberPoint | HistogramPoint): void {
  if (startNs !== undefined) w.fixed64(2, startNs);
  w.fixed64(3, timeNs);
}

function attributes(w: ProtoWriter, field: number, pairs: Attributes): void {
  for (const [key, value] of pairs) {
    w.open(field).string(1, key).open(2).string(1, value).close().close();
  }
}

/** What a receiver did not take of a request that it took. */
export interface PartialSuccess {
  rejected: number;
  message: string;
}

/** Reads ExportMetricsServiceResponse.partial_success. Undefined for an answer that has none, or is none. */
export function decodePartialSuccess(bytes: Uint8Array): PartialSuccess | undefined {
  const inner = fields(bytes).get(1);
  if (!(inner instanceof Uint8Array)) return undefined;
  const partial = fields(inner);
  const rejected = partial.get(1);
  const message = partial.get(2);
  return {
    rejected: typeof rejected === "number" ? rejected : 0,
    message: message instanceof Uint8Array ? new TextDecoder().decode(message) : "",
  };
}

/** The last varint or bytes of each field; nothing of what comes after something that is not understood. */
function fields(bytes: Uint8Array): Map<number, number | Uint8Array> {
  const found = new Map<number, number | Uint8Array>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < bytes.length && scale < 2 ** 63; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    return Number.NaN;
  };
  while (at < bytes.length) {
    const tag = varint();
    const value = varint();
    const wire = tag & 7;
    if (Number.isNaN(value) || (wire !== 0 && wire !== 2)) break;
    if (wire === 0) {
      found.set(tag >>> 3, value);
      continue;
    }
    if (at + value > bytes.length) break;
    found.set(tag >>> 3, bytes.subarray(at, at + value));
    at += value;
  }
  return found;
}
