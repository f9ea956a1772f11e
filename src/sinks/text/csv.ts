// Comma-separated values, for spreadsheets and data frames: a header, then one line per series and snapshot.
// Quoting is that of RFC 4180. Lines end with a line feed alone, which every reader accepts.

import { formatValue } from "../../exposition/index.ts";
import type { PoolSnapshot } from "../../layout/index.ts";
import { labelPairs, printable } from "../../text/index.ts";
import { PoolStates } from "../pools.ts";
import { type Row, type RowName, Rows, rowValue } from "../rows.ts";
import { Pace, rateOf, roundEstimate, roundRate, wentBack } from "./rate.ts";
import { TextSink } from "./text-sink.ts";
import { rfc3339 } from "./time.ts";

const SHARES = [0.5, 0.9, 0.99];
const SNAPSHOT_COLUMNS = ["time", "source", "app", "sequence", "lateness_ms", "missed", "gap"];
const NAME_COLUMNS = ["service", "name", "labels", "kind", "unit"];
const WRITER_COLUMNS = ["writer", "pid", "thread"];
const VALUE_COLUMNS = ["value", "rate", "count", "sum", "p50", "p90", "p99", "reset"];

interface Pool {
  rows: Rows<string>;
  pace: Pace;
}

/**
 * Rates are per second since the snapshot before; quantiles are of all that a histogram has observed. A total that was
 * reset has a 1 in the last column, and no rate.
 */
export class CsvSink extends TextSink {
  readonly #pools = new PoolStates<Pool>();
  #headed = false;

  write(snapshot: PoolSnapshot): void {
    const { rows, pace } = this.#pools.of(snapshot, () => ({
      rows: new Rows(this.options, nameCells),
      pace: new Pace(),
    }));
    const seconds = pace.step(snapshot.monotonicNs);
    const data = rows.data(snapshot);
    const head = snapshotCells(snapshot);
    let text = this.#header();
    for (const row of rows.follow(snapshot)) {
      const values = valueCells(row, data, seconds);
      if (values !== undefined) text += `${head},${row.part},${values}\n`;
    }
    if (text !== "") this.options.write(text);
  }

  gone(source: string, app?: string): void {
    this.#pools.gone(source, app);
  }

  protected override finish(): void {
    const header = this.#header();
    if (header !== "") this.options.write(header);
  }

  #header(): string {
    if (this.#headed) return "";
    this.#headed = true;
    const writer = this.options.perWriter === true ? WRITER_COLUMNS : [];
    return `${[...SNAPSHOT_COLUMNS, ...NAME_COLUMNS, ...writer, ...VALUE_COLUMNS].join(",")}\n`;
  }
}

function snapshotCells(snapshot: PoolSnapshot): string {
  const { takenAtMs, source, app, sequence, latenessMs, missed, gap } = snapshot;
  return [
    rfc3339(takenAtMs),
    cell(source),
    cell(app),
    sequence,
    Math.round(latenessMs * 1e4) / 1e4,
    missed,
    cell(gap ?? ""),
  ].join(",");
}

function nameCells({ service, metric, labelValues, writer }: RowName): string {
  const { name, kind, unit, labelNames } = metric.definition;
  const cells = [
    cell(service),
    cell(name),
    quoted(labelPairs(labelNames, labelValues)),
    kind,
    cell(unit),
  ];
  if (writer !== undefined) {
    const { id, pid, threadId, retained } = writer;
    cells.push(String(id), retained ? "" : String(pid), retained ? "" : String(threadId));
  }
  return cells.join(",");
}

/** Undefined for a series that is absent. */
function valueCells(row: Row<string>, data: Float64Array, seconds: number): string | undefined {
  const value = rowValue(row, data);
  const { histogram, index, previous, metric } = row;
  row.previous = value;
  if (Number.isNaN(value)) return undefined;
  const isGauge = metric.definition.kind === "gauge";
  const rate = isGauge ? Number.NaN : rateOf(value, previous, seconds);
  const rateCell = Number.isNaN(rate) ? "" : number(roundRate(rate));
  const reset = !isGauge && wentBack(value, previous) ? "1" : "";
  if (histogram === undefined) return `${number(value)},${rateCell},,,,,,${reset}`;
  const quantiles = histogram
    .quantiles(data, index, SHARES)
    .map((each) => number(roundEstimate(each)))
    .join(",");
  return `,${rateCell},${number(value)},${number(histogram.sum(data, index))},${quantiles},${reset}`;
}

function number(value: number): string {
  return Number.isNaN(value) ? "" : formatValue(value);
}

function cell(text: string): string {
  return quoted(printable(text));
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
