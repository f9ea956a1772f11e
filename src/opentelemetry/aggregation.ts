// What an instrument's values become: which kind of metric, with which buckets.
// https://opentelemetry.io/docs/specs/otel/metrics/sdk/#aggregation

import type { MetricAdvice } from "@opentelemetry/api";
import type { Family, Histogram, MetricOptions, MicroView } from "../client/index.ts";
import { type Combine, logLinearOptions, type MetricDefinition } from "../layout/index.ts";

/** Kinds of instrument, by the names that `@opentelemetry/sdk-metrics` has for them. */
export const InstrumentType = {
  COUNTER: "COUNTER",
  GAUGE: "GAUGE",
  HISTOGRAM: "HISTOGRAM",
  UP_DOWN_COUNTER: "UP_DOWN_COUNTER",
  OBSERVABLE_COUNTER: "OBSERVABLE_COUNTER",
  OBSERVABLE_GAUGE: "OBSERVABLE_GAUGE",
  OBSERVABLE_UP_DOWN_COUNTER: "OBSERVABLE_UP_DOWN_COUNTER",
} as const;
export type InstrumentType = (typeof InstrumentType)[keyof typeof InstrumentType];

/** By the numbers that `@opentelemetry/sdk-metrics` has for them. */
export const AggregationType = {
  DEFAULT: 0,
  DROP: 1,
  SUM: 2,
  LAST_VALUE: 3,
  EXPLICIT_BUCKET_HISTOGRAM: 4,
  EXPONENTIAL_HISTOGRAM: 5,
} as const;
export type AggregationType = (typeof AggregationType)[keyof typeof AggregationType];

/** As `@opentelemetry/sdk-metrics` has it, and the range of a log-linear histogram. */
export type AggregationOption =
  | { type: typeof AggregationType.DEFAULT }
  | { type: typeof AggregationType.DROP }
  | { type: typeof AggregationType.SUM }
  | { type: typeof AggregationType.LAST_VALUE }
  | {
      type: typeof AggregationType.EXPLICIT_BUCKET_HISTOGRAM;
      /** Minimum and maximum are not kept. */
      options?: { boundaries: readonly number[]; recordMinMax?: boolean };
    }
  | {
      type: typeof AggregationType.EXPONENTIAL_HISTOGRAM;
      /** The number of buckets follows from range and error: `maxSize` has no meaning here. */
      options?: {
        min?: number;
        max?: number;
        error?: number;
        maxSize?: number;
        recordMinMax?: boolean;
      };
    };

/** OpenTelemetry's names for what a histogram is that nobody says anything of. */
export const HISTOGRAMS = [
  "explicit_bucket_histogram",
  "base2_exponential_bucket_histogram",
] as const;
export type DefaultHistogram = (typeof HISTOGRAMS)[number];

/** An instrument as its maker describes it. */
export interface Descriptor {
  name: string;
  type: InstrumentType;
  description: string;
  unit: string;
  /** Fractions are cut off. */
  isInteger: boolean;
  advice: MetricAdvice;
}

/** What a metric is besides its name and labels. */
export interface Plan extends Pick<MetricDefinition, "kind" | "combine" | "bounds" | "logLinear"> {
  /** Measurements add up; otherwise each takes the place of the one before. */
  adds: boolean;
}

const DEFAULT_BOUNDS = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];
const BOUNDS_MAX = 500;

/** An instrument's unit may be left out for any reason: nothing is known of it then. */
const NO_UNIT = "{any}";

const isMonotonic: readonly InstrumentType[] = ["COUNTER", "OBSERVABLE_COUNTER", "HISTOGRAM"];
const isGauge: readonly InstrumentType[] = ["GAUGE", "OBSERVABLE_GAUGE"];

/**
 * The plan of a stream; undefined for one that is dropped.
 * @param combine how gauges of several writers become one
 */
export function planOf(
  { type, unit, advice }: Descriptor,
  aggregation: AggregationOption,
  histogram: DefaultHistogram,
  combine: Combine,
): Plan | undefined {
  switch (aggregation.type) {
    case AggregationType.DROP:
      return undefined;
    case AggregationType.SUM:
      return sum(isMonotonic.includes(type));
    case AggregationType.LAST_VALUE:
      return { kind: "gauge", combine, bounds: [], adds: false };
    case AggregationType.EXPLICIT_BUCKET_HISTOGRAM:
      return explicit(aggregation.options?.boundaries ?? advised(advice));
    case AggregationType.EXPONENTIAL_HISTOGRAM:
      return logLinear(unit, aggregation.options);
  }
  if (isGauge.includes(type)) return { kind: "gauge", combine, bounds: [], adds: false };
  if (type !== "HISTOGRAM") return sum(isMonotonic.includes(type));
  const explicitBucketBoundaries = advised(advice);
  // Who advises bounds knows better than a default.
  if (explicitBucketBoundaries !== undefined || histogram === "explicit_bucket_histogram") {
    return explicit(explicitBucketBoundaries);
  }
  return logLinear(unit);
}

/** The bounds that an instrument's maker advises; anything may stand there. */
function advised(advice: MetricAdvice): readonly number[] | undefined {
  const given: unknown = advice.explicitBucketBoundaries;
  return Array.isArray(given) ? given : undefined;
}

function sum(monotonic: boolean): Plan {
  return { kind: monotonic ? "counter" : "gauge", combine: "sum", bounds: [], adds: true };
}

function explicit(given: readonly number[] = DEFAULT_BOUNDS): Plan {
  const finite = given.filter((bound) => Number.isFinite(bound));
  const bounds = [...new Set(finite)].sort((a, b) => a - b).slice(0, BOUNDS_MAX);
  return { kind: "histogram", combine: "sum", bounds, adds: true };
}

function logLinear(
  unit: string,
  options: { min?: number; max?: number; error?: number } = {},
): Plan {
  return {
    kind: "loglinear",
    combine: "sum",
    bounds: [],
    logLinear: logLinearOptions(unit === "" ? NO_UNIT : unit, options),
    adds: true,
  };
}

/** Declares the metric of a plan for a histogram. */
export function declareHistogram(
  client: MicroView,
  name: string,
  { kind, bounds, logLinear: range }: Plan,
  common: MetricOptions,
  labels: readonly string[],
): Histogram | Family<Histogram> {
  const options = { ...common, ...(kind === "histogram" ? { buckets: bounds } : range) };
  return labels.length === 0
    ? client.histogram(name, options)
    : client.histogram(name, { ...options, labels });
}
