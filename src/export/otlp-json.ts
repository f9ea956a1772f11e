// Writes OTLP's metrics request as JSON: names in lower camel case, 64-bit integers as text, enumerations as numbers.
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

import {
  type Attributes,
  NO_RECORDED_VALUE,
  type OtlpMetric,
  type OtlpRequest,
  temporalityOf,
} from "./otlp-model.ts";
import type { PartialSuccess } from "./otlp-protobuf.ts";

export function encodeJson({ temporality, resources }: OtlpRequest): Uint8Array {
  const message = {
    resourceMetrics: resources.map(({ resource, scope, metrics }) => ({
      resource: { attributes: attributes(resource) },
      scopeMetrics: [
        {
          scope,
          metrics: metrics.map((metric) => metricOf(metric, temporalityOf(metric, temporality))),
        },
      ],
    })),
  };
  return new TextEncoder().encode(JSON.stringify(message));
}

function metricOf(metric: OtlpMetric, aggregationTemporality: number): object {
  const { name, description, unit } = metric;
  return { name, description, unit, ...dataOf(metric, aggregationTemporality) };
}

function dataOf(metric: OtlpMetric, aggregationTemporality: number): object {
  switch (metric.kind) {
    case "gauge":
      return { gauge: { dataPoints: metric.points.map((point) => numberOf(point)) } };
    case "sum": {
      const dataPoints = metric.points.map((point) => numberOf(point));
      return { sum: { dataPoints, aggregationTemporality, isMonotonic: metric.isMonotonic } };
    }
    case "histogram": {
      const explicitBounds = metric.bounds.map(double);
      const dataPoints = metric.points.map((point) => ({
        ...common(point),
        ...(point.ended
          ? {}
          : {
              count: String(point.count),
              sum: double(point.sum),
              bucketCounts: Array.from(point.counts, String),
              explicitBounds,
            }),
      }));
      return { histogram: { dataPoints, aggregationTemporality } };
    }
    case "exponential": {
      const { scale, zeroThreshold } = metric;
      const dataPoints = metric.points.map((point) => ({
        ...common(point),
        ...(point.ended
          ? {}
          : {
              count: String(point.count),
              sum: double(point.sum),
              scale,
              zeroCount: String(point.zeroCount),
              positive: { offset: point.offset, bucketCounts: Array.from(point.counts, String) },
              zeroThreshold: double(zeroThreshold),
            }),
      }));
      return { exponentialHistogram: { dataPoints, aggregationTemporality } };
    }
  }
}

type AnyPoint = OtlpMetric["points"][number];

function numberOf(point: AnyPoint & { value: number }): object {
  return { ...common(point), ...(point.ended ? {} : { asDouble: double(point.value) }) };
}

function common({ attributes: pairs, startNs, timeNs, ended }: AnyPoint): object {
  return {
    attributes: attributes(pairs),
    ...(startNs === undefined ? {} : { startTimeUnixNano: String(startNs) }),
    timeUnixNano: String(timeNs),
    ...(ended ? { flags: NO_RECORDED_VALUE } : {}),
  };
}

function attributes(pairs: Attributes): object[] {
  return pairs.map(([key, value]) => ({ key, value: { stringValue: value } }));
}

/** Protobuf's JSON has words for what JSON has no number for. */
function double(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/** As decodePartialSuccess, of an answer in JSON. */
export function parsePartialSuccess(text: string): PartialSuccess | undefined {
  try {
    const { partialSuccess } = JSON.parse(text) as {
      partialSuccess?: { rejectedDataPoints?: string | number; errorMessage?: string };
    };
    if (typeof partialSuccess !== "object" || partialSuccess === null) return undefined;
    const rejected = Number(partialSuccess.rejectedDataPoints ?? 0);
    const message = String(partialSuccess.errorMessage ?? "");
    return { rejected: Number.isFinite(rejected) ? rejected : 0, message };
  } catch {
    return undefined;
  }
}
