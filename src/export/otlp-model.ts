// What a request of OTLP says, before it is written as protobuf or JSON.
// https://github.com/open-telemetry/opentelemetry-proto/blob/v1.3.2/opentelemetry/proto/metrics/v1/metrics.proto

export type Attributes = readonly (readonly [key: string, value: string])[];

/** DELTA says what came since the point before, CUMULATIVE since the start. */
export const TEMPORALITY = { delta: 1, cumulative: 2 } as const;
export type Temporality = keyof typeof TEMPORALITY;

/** DataPointFlags: the series has no value any more. */
export const NO_RECORDED_VALUE = 1;

interface Point {
  attributes: Attributes;
  /** Unix time; of gauges there is no start. */
  startNs: bigint | undefined;
  timeNs: bigint;
  /** The series has ended, and what else the point says does not count. */
  ended: boolean;
}

export interface NumberPoint extends Point {
  value: number;
}

export interface HistogramPoint extends Point {
  count: number;
  sum: number;
  counts: Float64Array;
}

export interface ExponentialPoint extends Point {
  count: number;
  sum: number;
  zeroCount: number;
  /** Index of the first of `counts`. */
  offset: number;
  counts: Float64Array;
}

export type MetricData =
  | { kind: "gauge"; points: NumberPoint[] }
  /** One that may fall is cumulative whatever the request is, as the specification has its preference. */
  | { kind: "sum"; isMonotonic: boolean; points: NumberPoint[] }
  | { kind: "histogram"; bounds: readonly number[]; points: HistogramPoint[] }
  | { kind: "exponential"; scale: number; zeroThreshold: number; points: ExponentialPoint[] };

/** Of a metric in a request. */
export function temporalityOf(metric: MetricData, asked: Temporality): number {
  return TEMPORALITY[metric.kind === "sum" && !metric.isMonotonic ? "cumulative" : asked];
}

export type OtlpMetric = { name: string; description: string; unit: string } & MetricData;

/** What made metrics: us, or a library that is instrumented with OpenTelemetry. */
export interface Scope {
  name: string;
  version: string;
}

/** The metrics of one service and scope. */
export interface ResourceMetrics {
  resource: Attributes;
  scope: Scope;
  metrics: OtlpMetric[];
}

export interface OtlpRequest {
  temporality: Temporality;
  resources: ResourceMetrics[];
}
