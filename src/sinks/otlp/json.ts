// Writes OTLP's metrics request as JSON: names in lower camel case, 64-bit integers as text, enumerations as numbers.
// What a series' points begin with is kept as text.
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

import { toExponential, wholeCount } from "../encoding/exponential.ts";
import {
  type Attributes,
  isAlike,
  isSameMetric,
  longestDescribed,
  type MetricHead,
  NO_RECORDED_VALUE,
  nanoseconds,
  type OtlpForm,
  type Part,
  type Section,
  temporalityOf,
} from "./model.ts";

const encoder = new TextEncoder();

interface TextTable {
  head: MetricHead;
  /** A metric's name, description and unit. */
  metricHead: string;
  /** `{"attributes":[…]` of each point. */
  points: string[];
  /** `"explicitBounds":[…]` and what else ends the points of a histogram. */
  tail: string;
}

const DATA = {
  gauge: "gauge",
  sum: "sum",
  histogram: "histogram",
  exponential: "exponentialHistogram",
} as const;

export class JsonForm implements OtlpForm<TextTable> {
  readonly contentType = "application/json";

  table(head: MetricHead): TextTable {
    const { name, description, unit } = head;
    const metricHead = JSON.stringify({ name, description, unit }).slice(0, -1);
    return { head, metricHead, points: [], tail: tailOf(head) };
  }

  append({ points }: TextTable, pairs: Attributes): void {
    points.push(`{"attributes":${attributes(pairs)}`);
  }

  write(part: Part<TextTable>): Uint8Array<ArrayBuffer> {
    const resources: string[] = [];
    const { sections, app } = part;
    for (let next = 0; next < sections.length; ) {
      const { service, resource } = sections[next]!;
      const scopes: string[] = [];
      while (sections[next]?.service === service) {
        const { scope } = sections[next]!;
        const metrics: string[] = [];
        while (next < sections.length && isAlike(sections[next]!, service, scope)) {
          const first = next++;
          const { head } = sections[first]!;
          while (
            next < sections.length &&
            isAlike(sections[next]!, service, scope) &&
            isSameMetric(head, sections[next]!.head)
          ) {
            next++;
          }
          metrics.push(metricOf(sections.slice(first, next), part));
        }
        scopes.push(`{"scope":${JSON.stringify(scope)},"metrics":[${metrics}]}`);
      }
      const all = [["service.name", service], ["service.namespace", app], ...resource] as const;
      resources.push(`{"resource":{"attributes":${attributes(all)}},"scopeMetrics":[${scopes}]}`);
    }
    return encoder.encode(`{"resourceMetrics":[${resources}]}`);
  }
}

function metricOf(sections: readonly Section<TextTable>[], part: Part<TextTable>): string {
  const { head } = sections[0]!;
  const { metricHead } = longestDescribed(sections);
  const points: string[] = [];
  for (const section of sections) addPoints(points, section, part);
  const temporality =
    head.kind === "gauge"
      ? ""
      : `,"aggregationTemporality":${temporalityOf(head, part.temporality)}`;
  const monotonic = head.kind === "sum" ? `,"isMonotonic":${head.isMonotonic}` : "";
  return `${metricHead},"${DATA[head.kind]}":{"dataPoints":[${points}]${temporality}${monotonic}}}`;
}

function addPoints(into: string[], section: Section<TextTable>, part: Part<TextTable>): void {
  const { head, table, from, to, valueAt, startsMs, ended } = section;
  const { values, timeMs } = part;
  const time = `,"timeUnixNano":"${nanoseconds(timeMs)}"`;
  let startMs = Number.NaN;
  let start = "";
  for (let i = from; i < to; i++) {
    if (head.kind !== "gauge" && startsMs[i] !== startMs) {
      startMs = startsMs[i]!;
      start = `,"startTimeUnixNano":"${nanoseconds(startMs)}"`;
    }
    const data = ended
      ? `,"flags":${NO_RECORDED_VALUE}`
      : dataOf(head, table.tail, values, valueAt[i]!);
    into.push(`${table.points[i]!}${start}${time}${data}}`);
  }
}

function dataOf(head: MetricHead, tail: string, values: Float64Array, at: number): string {
  switch (head.kind) {
    case "gauge":
    case "sum":
      return `,"asDouble":${double(values[at]!)}`;
    case "histogram": {
      const buckets = head.bounds.length + 1;
      let counts = "";
      let count = 0;
      for (let i = 0; i < buckets; i++) {
        const whole = wholeCount(values[at + i]!);
        count += whole;
        counts += i === 0 ? `"${whole}"` : `,"${whole}"`;
      }
      const sum = double(values[at + buckets]!);
      return `,"count":"${count}","sum":${sum},"bucketCounts":[${counts}]${tail}`;
    }
    case "exponential": {
      const { map } = head;
      const { count, zeroCount, offset, counts } = toExponential(map, values, at);
      const positive = `{"offset":${offset},"bucketCounts":${texts(counts)}}`;
      const sum = double(values[at + map.targets.length + 1]!);
      return `,"count":"${count}","sum":${sum},"zeroCount":"${zeroCount}","positive":${positive}${tail}`;
    }
  }
}

function tailOf(head: MetricHead): string {
  switch (head.kind) {
    case "gauge":
    case "sum":
      return "";
    case "histogram":
      return `,"explicitBounds":[${head.bounds.map(double)}]`;
    case "exponential":
      return `,"scale":${head.map.scale},"zeroThreshold":${double(head.map.zeroThreshold)}`;
  }
}

/** Whole numbers as texts. */
function texts(counts: Float64Array): string {
  let text = "";
  for (let i = 0; i < counts.length; i++) text += i === 0 ? `"${counts[i]}"` : `,"${counts[i]}"`;
  return `[${text}]`;
}

function attributes(pairs: Attributes): string {
  return JSON.stringify(pairs.map(([key, value]) => ({ key, value: { stringValue: value } })));
}

/** Protobuf's JSON has words for what JSON has no number for. */
function double(value: number): string {
  return Number.isFinite(value) ? String(value) : `"${value}"`;
}
