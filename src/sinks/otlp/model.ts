// What a request of OTLP says, and who writes it: as protobuf or as JSON.
// https://github.com/open-telemetry/opentelemetry-proto/blob/v1.3.2/opentelemetry/proto/metrics/v1/metrics.proto

import type { ExponentialMap } from "../encoding/exponential.ts";

export type Attributes = readonly (readonly [key: string, value: string])[];

/** DELTA says what came since the point before, CUMULATIVE since the start. */
const TEMPORALITY = { delta: 1, cumulative: 2 } as const;
export type Temporality = keyof typeof TEMPORALITY;

/** DataPointFlags: the series has no value any more. */
export const NO_RECORDED_VALUE = 1;

/** What is the same for all points of a metric. */
export type MetricHead = { name: string; description: string; unit: string } & (
  | { kind: "gauge" }
  /** One that may fall is cumulative whatever is asked for, as the specification has its preference. */
  | { kind: "sum"; isMonotonic: boolean }
  | { kind: "histogram"; bounds: readonly number[] }
  | { kind: "exponential"; map: ExponentialMap }
);

/** Of a metric in a request. */
export function temporalityOf(head: MetricHead, asked: Temporality): number {
  return TEMPORALITY[head.kind === "sum" && !head.isMonotonic ? "cumulative" : asked];
}

/** Whether points of two tables are of one metric: its series may be declared with other names of labels each. */
export function isSameMetric(one: MetricHead, other: MetricHead): boolean {
  if (one.kind === "sum" && other.kind === "sum" && one.isMonotonic !== other.isMonotonic) {
    return false;
  }
  return one.name === other.name && one.kind === other.kind;
}

/** The table whose metric is described at most length: of several descriptions of one metric that is the one to keep. */
export function longestDescribed<Table extends { head: MetricHead }>(
  sections: readonly Pick<Section<Table>, "table">[],
): Table {
  return sections
    .map(({ table }) => table)
    .reduce((one, other) =>
      other.head.description.length > one.head.description.length ? other : one,
    );
}

/** What made metrics: us, or a library that is instrumented with OpenTelemetry. */
export interface Scope {
  name: string;
  version: string;
}

/** Some points of one metric of one service: those of series that follow each other. */
export interface Section<Table> {
  service: string;
  resource: Attributes;
  scope: Scope;
  head: MetricHead;
  table: Table;
  /** The first of the series, and the one behind the last. */
  from: number;
  to: number;
  /** Index of each series' first slot among the values. */
  valueAt: Int32Array;
  /** Unix time at which each series began to count. */
  startsMs: Float64Array;
  /** The series have ended: a point without a value says so. */
  ended: boolean;
}

/** Whether a section is one of a service and scope. */
export function isAlike(section: Section<unknown>, service: string, scope: Scope): boolean {
  const { name, version } = section.scope;
  return section.service === service && name === scope.name && version === scope.version;
}

/** One request. Sections of a service follow each other, in them those of a scope, and in them those of a metric. */
export interface Part<Table> {
  sections: readonly Section<Table>[];
  /** Data points in it. */
  points: number;
  app: string;
  temporality: Temporality;
  values: Float64Array;
  timeMs: number;
}

/** A way to write requests. A table holds what can be written once of the points of a metric's series. */
export interface OtlpForm<Table> {
  readonly contentType: string;
  table(head: MetricHead): Table;
  /** Takes in one more series. */
  append(table: Table, attributes: Attributes): void;
  write(part: Part<Table>): Uint8Array<ArrayBuffer>;
}

/** OTLP's nanoseconds. Microseconds are what a double of milliseconds holds. */
export function nanoseconds(ms: number): bigint {
  return BigInt(Math.floor(ms * 1000)) * 1000n;
}
