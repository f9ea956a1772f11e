// One JSON object per line, for each snapshot of each pool.

import { formatValue } from "../../exposition/index.ts";
import type { PoolSnapshot } from "../../layout/index.ts";
import { safeJson } from "../../text/index.ts";
import { PoolStates } from "../pools.ts";
import { type Row, type RowName, Rows, rowValue } from "../rows.ts";
import { Pace, rateOf, roundEstimate, roundRate, wentBack } from "./rate.ts";
import { TextSink } from "./text-sink.ts";
import { rfc3339 } from "./time.ts";

const SHARES = [0.5, 0.9, 0.99];

interface Pool {
  rows: Rows<string>;
  pace: Pace;
}

/**
 * Writes `{"time":…,"source":…,"app":…,"metrics":[…]}` lines. A counter has its `value` and the `rate` per second
 * since the snapshot before; a gauge its `value`; a histogram `count`, `sum`, `p50`, `p90`, `p99` of all it has
 * observed, and the `rate` of observations. A total that was reset has `"reset":true` instead of a rate. Absent values
 * are left out; infinite values are the texts "+Inf", "-Inf".
 */
export class NdjsonSink extends TextSink {
  readonly #pools = new PoolStates<Pool>();

  write(snapshot: PoolSnapshot): void {
    const { rows, pace } = this.#pools.of(snapshot, () => ({
      rows: new Rows(this.options, nameJson),
      pace: new Pace(),
    }));
    const seconds = pace.step(snapshot.monotonicNs);
    const data = rows.data(snapshot);
    let metrics = "";
    for (const row of rows.follow(snapshot)) metrics += metricJson(row, data, seconds);
    this.options.write(`${headJson(snapshot)},"metrics":[${metrics.slice(1)}]}\n`);
  }

  gone(source: string, app?: string): void {
    this.#pools.gone(source, app);
  }
}

function headJson(snapshot: PoolSnapshot): string {
  const { takenAtMs, source, app, sequence, generation, readMs, latenessMs, missed, gap } =
    snapshot;
  const json = safeJson({
    time: rfc3339(takenAtMs),
    source,
    app,
    sequence,
    generation,
    readMs: round4(readMs),
    latenessMs: round4(latenessMs),
    missed,
    gap,
  });
  return json.slice(0, -1);
}

/** The part of a metric's object that stays the same: `,{"service":…` up to its values. */
function nameJson({ service, metric, labelValues, writer }: RowName): string {
  const { name, kind, unit, labelNames } = metric.definition;
  const json = safeJson({
    service,
    name,
    kind,
    ...(unit === "" ? {} : { unit }),
    ...(labelNames.length === 0
      ? {}
      : { labels: Object.fromEntries(labelNames.map((label, i) => [label, labelValues[i]])) }),
    ...(writer === undefined ? {} : writerJson(writer)),
  });
  return `,${json.slice(0, -1)}`;
}

function writerJson({ id, pid, threadId, retained }: NonNullable<RowName["writer"]>) {
  return retained ? { writer: id, retained } : { writer: id, pid, thread: threadId };
}

function metricJson(row: Row<string>, data: Float64Array, seconds: number): string {
  const value = rowValue(row, data);
  const { part, histogram, index, previous, metric } = row;
  row.previous = value;
  if (Number.isNaN(value)) return "";
  if (histogram === undefined) {
    const isTotal = metric.definition.kind === "counter";
    const change = isTotal ? changeFields(value, previous, seconds) : "";
    return `${part}${field("value", value)}${change}}`;
  }
  const [p50, p90, p99] = histogram.quantiles(data, index, SHARES);
  return (
    part +
    field("count", value) +
    field("sum", histogram.sum(data, index)) +
    field("p50", roundEstimate(p50!)) +
    field("p90", roundEstimate(p90!)) +
    field("p99", roundEstimate(p99!)) +
    `${changeFields(value, previous, seconds)}}`
  );
}

function field(name: string, value: number): string {
  if (Number.isFinite(value)) return `,"${name}":${value}`;
  return Number.isNaN(value) ? "" : `,"${name}":"${formatValue(value)}"`;
}

function changeFields(value: number, previous: number, seconds: number): string {
  if (wentBack(value, previous)) return ',"reset":true';
  const rate = rateOf(value, previous, seconds);
  return Number.isNaN(rate) ? "" : field("rate", roundRate(rate));
}

function round4(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
