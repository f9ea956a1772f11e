// OTLP's points of metrics as rows (opentelemetry-proto, metrics/v1): one value each. A histogram becomes what Prometheus
// has for one: `…_bucket` with the label `le`, which count up, `…_sum` and `…_count`.

import { pairsIn, Room, textOf } from "./attributes.ts";
import type { MeasureRow } from "./columns.ts";
import {
  listIn,
  longIn,
  longOf,
  type Message,
  messageIn,
  messagesIn,
  numberIn,
  numberOf,
  oneOf,
  textIn,
} from "./messages.ts";

const KINDS = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"] as const;
const DELTA = 1;
/** DataPointFlags: there is no value, the series has ended. */
const NO_VALUE = 1;
/** Rows of one point; the specification's own default has 160 buckets. */
const BUCKETS_MAX = 10_000;

/** What all points of a metric share. */
interface Metric {
  name: string;
  unit: string;
  /** Of them all but sums' `…_sum` and the like. */
  kind: string;
}

type Add = (row: MeasureRow) => void;

/**
 * @param add takes each row
 * @returns points that cannot be rows
 * @throws OtlpError
 */
export function addMetric(metric: Message, scope: string, nowNs: bigint, add: Add): number {
  const name = textIn(metric, "name").slice(0, 1_000).toWellFormed();
  const unit = textIn(metric, "unit").slice(0, 100).toWellFormed();
  const kind = oneOf(metric, KINDS);
  if (kind === undefined) return 0;
  const data = messageIn(metric, kind);
  const points = messagesIn(data, "dataPoints");
  if (name === "") return points.length;
  const shared = { name, unit, kind: kindOf(kind, data) };
  let rejected = 0;
  for (const point of points) {
    if ((numberIn(point, "flags") & NO_VALUE) !== 0) continue;
    const rows = new PointRows(point, shared, scope, nowNs, add);
    if (!ADDERS[kind](point, rows)) rejected++;
  }
  return rejected;
}

function kindOf(kind: (typeof KINDS)[number], data: Message): string {
  const isDelta = numberIn(data, "aggregationTemporality") === DELTA;
  if (kind === "sum") {
    const isMonotonic = data["isMonotonic"] === true;
    if (isDelta) return isMonotonic ? "delta" : "updown_delta";
    return isMonotonic ? "counter" : "updown";
  }
  if (kind === "gauge" || kind === "summary") return kind;
  return isDelta ? "histogram_delta" : "histogram";
}

/** Writes the rows of one point. */
class PointRows {
  readonly #metric: Metric;
  readonly #timeNs: bigint;
  readonly #labels: Record<string, string>;
  readonly #properties: string;
  readonly #add: Add;

  constructor(point: Message, metric: Metric, scope: string, nowNs: bigint, add: Add) {
    const pairs = Object.entries(pairsIn(point, "attributes", new Room()));
    this.#metric = metric;
    this.#timeNs = longIn(point, "timeUnixNano") || nowNs;
    this.#labels = Object.fromEntries([
      ...pairs.map(([key, value]) => [key, textOf(value)]),
      ...(scope === "" ? [] : [["otel_scope_name", scope]]),
    ]);
    this.#properties = Object.keys(this.#labels).length === 0 ? "" : JSON.stringify(this.#labels);
    this.#add = add;
  }

  put(suffix: string, value: number, label?: readonly [name: string, value: number]): void {
    const { name, unit, kind } = this.#metric;
    this.#add({
      ...{ timeNs: this.#timeNs, name: name + suffix, unit, target: kind, value },
      properties:
        label === undefined
          ? this.#properties
          : JSON.stringify({ ...this.#labels, [label[0]]: bound(label[1]) }),
    });
  }

  /** What histograms have besides buckets. */
  totals(point: Message): void {
    this.put("_count", Number(longIn(point, "count")));
    for (const part of ["sum", "min", "max"] as const) {
      if (oneOf(point, [part]) !== undefined) this.put(`_${part}`, numberIn(point, part));
    }
  }
}

/** As Prometheus writes a bound. */
function bound(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

type Adder = (point: Message, rows: PointRows) => boolean;

const addNumber: Adder = (point, rows) => {
  const field = oneOf(point, ["asDouble", "asInt"]);
  if (field === undefined) return false;
  rows.put("", field === "asInt" ? Number(longIn(point, field)) : numberIn(point, field));
  return true;
};

const addHistogram: Adder = (point, rows) => {
  const counts = listIn(point, "bucketCounts").map((each) => Number(longOf(each, "bucketCounts")));
  const bounds = listIn(point, "explicitBounds").map((each) => numberOf(each, "explicitBounds"));
  if (counts.length > BUCKETS_MAX || (counts.length > 0 && counts.length !== bounds.length + 1))
    return false;
  let total = 0;
  for (const [i, count] of counts.entries()) {
    total += count;
    rows.put("_bucket", total, ["le", bounds[i] ?? Number.POSITIVE_INFINITY]);
  }
  rows.totals(point);
  return true;
};

/** Bucket i of positive values has those in (b^i, b^(i+1)], where b = 2^(2^-scale). */
const addExponential: Adder = (point, rows) => {
  const scale = numberIn(point, "scale");
  const [negative, positive] = (["negative", "positive"] as const).map((side) => {
    const buckets = messageIn(point, side);
    const counts = listIn(buckets, "bucketCounts");
    return { offset: numberIn(buckets, "offset"), counts };
  }) as [Side, Side];
  if (negative.counts.length + positive.counts.length > BUCKETS_MAX) return false;
  const power = (index: number) => 2 ** (index * 2 ** -scale);
  let total = 0;
  const put = (count: bigint, le: number) => {
    total += Number(count);
    if (count > 0n) rows.put("_bucket", total, ["le", le]);
  };
  for (let i = negative.counts.length - 1; i >= 0; i--) {
    put(longOf(negative.counts[i], "bucketCounts"), -power(negative.offset + i));
  }
  put(longIn(point, "zeroCount"), numberIn(point, "zeroThreshold"));
  for (const [i, count] of positive.counts.entries()) {
    put(longOf(count, "bucketCounts"), power(positive.offset + i + 1));
  }
  rows.put("_bucket", Number(longIn(point, "count")), ["le", Number.POSITIVE_INFINITY]);
  rows.totals(point);
  return true;
};

interface Side {
  offset: number;
  counts: readonly unknown[];
}

const addSummary: Adder = (point, rows) => {
  const quantiles = messagesIn(point, "quantileValues");
  if (quantiles.length > BUCKETS_MAX) return false;
  for (const each of quantiles) {
    rows.put("", numberIn(each, "value"), ["quantile", numberIn(each, "quantile")]);
  }
  rows.put("_sum", numberIn(point, "sum"));
  rows.put("_count", Number(longIn(point, "count")));
  return true;
};

const ADDERS: Readonly<Record<(typeof KINDS)[number], Adder>> = {
  gauge: addNumber,
  sum: addNumber,
  histogram: addHistogram,
  exponentialHistogram: addExponential,
  summary: addSummary,
};
