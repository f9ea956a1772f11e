// A snapshot as OpenTelemetry's own client for JavaScript has its data, for its serialiser. Cumulative.

import { type HrTime, ValueType } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { type Metric, type PoolSnapshot, shapeOf } from "../../src/layout/index.ts";
import { exponentialMap, toExponential } from "../../src/sinks/encoding/index.ts";

/** @param startMs when everything began to count */
export function otelMetrics(
  { app, structure, values, takenAtMs }: PoolSnapshot,
  startMs: number,
  others: Record<string, string> = {},
): ResourceMetrics[] {
  return structure.names.services.map((service) => {
    const metrics = structure.metrics.filter((entry) => entry.service === service);
    const times = { startTime: hrTime(startMs), endTime: hrTime(takenAtMs) };
    const attributes = { "service.name": service, "service.namespace": app, ...others };
    return {
      resource: resourceFromAttributes(attributes),
      scopeMetrics: [
        {
          scope: { name: "microview", version: "1.2.3" },
          metrics: metrics.map((entry) => {
            const { metric, indexes } = entry;
            const { labelNames } = metric.definition;
            const places = Array.from(indexes, (index, at) => {
              const labels = structure.labelValues(entry, at);
              const slots = values.subarray(index, index + metric.slots);
              const named = labelNames.map((name, i) => [name, labels[i]!]);
              return { ...times, attributes: Object.fromEntries(named), slots };
            });
            return dataOf(metric, places);
          }),
        },
      ],
    };
  });
}

interface Place {
  startTime: HrTime;
  endTime: HrTime;
  attributes: Record<string, string>;
  slots: Float64Array;
}

function dataOf({ definition }: Metric, places: readonly Place[]): MetricData {
  const { name, help: description, unit, kind, bounds } = definition;
  const common = {
    descriptor: { name, description, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const number = ({ slots, ...place }: Place) => ({ ...place, value: slots[0]! });
  switch (kind) {
    case "counter":
      return {
        ...common,
        dataPointType: DataPointType.SUM,
        isMonotonic: true,
        dataPoints: places.map(number),
      };
    case "gauge":
      return { ...common, dataPointType: DataPointType.GAUGE, dataPoints: places.map(number) };
    case "histogram":
      return {
        ...common,
        dataPointType: DataPointType.HISTOGRAM,
        dataPoints: places.map(({ slots, ...place }) => {
          const counts = Array.from(slots.subarray(0, -1), Math.round);
          const count = counts.reduce((a, b) => a + b, 0);
          const buckets = { boundaries: [...bounds], counts };
          return { ...place, value: { buckets, count, sum: slots.at(-1)! } };
        }),
      };
    case "loglinear": {
      const map = exponentialMap(shapeOf(definition));
      return {
        ...common,
        dataPointType: DataPointType.EXPONENTIAL_HISTOGRAM,
        dataPoints: places.map(({ slots, ...place }) => {
          const { count, zeroCount, offset, counts } = toExponential(map, slots, 0);
          const positive = { offset, bucketCounts: [...counts] };
          const negative = { offset: 0, bucketCounts: [] };
          const { scale } = map;
          const sum = slots.at(-1)!;
          return { ...place, value: { count, sum, scale, zeroCount, positive, negative } };
        }),
      };
    }
  }
}

function hrTime(ms: number): HrTime {
  const us = Math.floor(ms * 1000);
  return [Math.floor(us / 1e6), (us % 1e6) * 1000];
}
