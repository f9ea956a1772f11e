// The series of a pool, as the sinks that show each of them need them. Names are looked up and formatted once for each
// structure, so that a snapshot costs only its numbers.

import {
  HistogramSlots,
  type Metric,
  type PoolSnapshot,
  placeOf,
  type Structure,
  type StructureMetric,
  type StructureWriter,
  snapshotIndex,
} from "../layout/index.ts";
import type { SinkOptions } from "./sink.ts";

/** The name of a series. A sink formats it once and keeps the result as its part of the row. */
export interface RowName {
  service: string;
  metric: Metric;
  labelValues: readonly string[];
  /** The writer of the values; undefined where writers are added up. */
  writer: StructureWriter | undefined;
}

/** A series, or one writer's part of it. */
export interface Row<Part> {
  readonly series: number;
  readonly service: string;
  readonly metric: Metric;
  readonly writer: StructureWriter | undefined;
  /** How to read the values of a histogram; undefined for other kinds. */
  readonly histogram: HistogramSlots | undefined;
  /** What the sink keeps of this series, e.g. its formatted name. */
  readonly part: Part;
  /** Index of its first value in {@link Rows.data}. */
  index: number;
  /** The count or value at the snapshot before; NaN at first. For sinks that give rates. */
  previous: number;
}

/**
 * The rows of one pool. A row keeps its part and its previous value for as long as its series is there, also when series
 * get other numbers. Where each writer has rows of its own, they end with the writer: another process that has the same
 * writer id, as after a pool was replaced, gets rows of its own.
 */
export class Rows<Part> {
  rows: Row<Part>[] = [];
  /** Raised whenever `rows` has changed. */
  version = 0;
  #structure: Structure | undefined;
  #byId = new Map<string | number, Row<Part>>();
  #histograms = new Map<Metric, HistogramSlots | undefined>();

  /** @param makePart called once for each row that is new */
  constructor(
    readonly options: Pick<SinkOptions, "perWriter">,
    readonly makePart: (name: RowName) => Part,
  ) {}

  /** The numbers that the rows' indexes point into. */
  data(snapshot: PoolSnapshot): Float64Array {
    return this.options.perWriter === true ? snapshot.slots.data : snapshot.values;
  }

  /** Brings the rows up to a snapshot's structure. */
  follow({ structure }: PoolSnapshot): readonly Row<Part>[] {
    const before = this.#structure;
    if (structure === before) return this.rows;
    const formerId = before === undefined ? () => 0 : structure.seriesSince(before);
    const isRenumbered = !structure.continues(before);
    if (isRenumbered) this.#histograms = new Map();
    this.#structure = structure;
    const known = this.#byId;
    this.#byId = new Map();
    this.rows = [];
    const add = (entry: StructureMetric, at: number, index: number, writer?: StructureWriter) => {
      const series = entry.series[at]!;
      const found = known.get(rowId(formerId(entry, at), writer));
      const former = isSameWriter(found?.writer, writer) ? found : undefined;
      const row =
        former === undefined || isRenumbered
          ? this.#make(structure, entry, at, writer, former)
          : former;
      row.index = index;
      this.#byId.set(rowId(series, writer), row);
      this.rows.push(row);
    };
    if (this.options.perWriter === true) this.#eachOfWriters(structure, add);
    else this.#eachSeries(structure, add);
    this.version++;
    return this.rows;
  }

  #eachSeries(
    { metrics }: Structure,
    add: (entry: StructureMetric, at: number, index: number) => void,
  ): void {
    for (const entry of metrics) {
      for (let at = 0; at < entry.series.length; at++) add(entry, at, entry.indexes[at]!);
    }
  }

  #eachOfWriters(
    { metrics, writers, plan }: Structure,
    add: (entry: StructureMetric, at: number, index: number, writer: StructureWriter) => void,
  ): void {
    const entries = new Map(metrics.map((entry) => [entry.metric, entry]));
    for (const writer of writers) {
      for (const { metric, page, slot, firstSeries, count } of writer.runs) {
        const entry = entries.get(metric);
        const start = snapshotIndex(plan, page, slot);
        if (entry === undefined || start < 0) continue;
        const first = placeOf(entry.series, firstSeries);
        for (let i = 0; i < count; i++) add(entry, first + i, start + i * metric.slots, writer);
      }
    }
  }

  #make(
    structure: Structure,
    entry: StructureMetric,
    at: number,
    writer: StructureWriter | undefined,
    former: Row<Part> | undefined,
  ): Row<Part> {
    const { metric, service, series } = entry;
    if (!this.#histograms.has(metric)) this.#histograms.set(metric, HistogramSlots.of(metric));
    const makePart = () => {
      const labelValues = structure.labelValues(entry, at);
      return this.makePart({ service, metric, labelValues, writer });
    };
    return {
      series: series[at]!,
      service,
      metric,
      writer,
      histogram: this.#histograms.get(metric),
      part: former === undefined ? makePart() : former.part,
      index: 0,
      previous: former?.previous ?? Number.NaN,
    };
  }
}

function rowId(series: number, writer: StructureWriter | undefined): string | number {
  return writer === undefined ? series : `${writer.id} ${series}`;
}

/** Writer ids are unique within one pool. A pool that replaces another numbers its writers from 1 again. */
function isSameWriter(one: StructureWriter | undefined, other: StructureWriter | undefined) {
  if (one === other) return true;
  return (
    one?.id === other?.id &&
    one?.serviceName === other?.serviceName &&
    one?.pid === other?.pid &&
    one?.threadId === other?.threadId &&
    one?.startedAtMs === other?.startedAtMs &&
    one?.retained === other?.retained
  );
}

/** The row's count, where it is a histogram, or its value. NaN is absent. */
export function rowValue({ histogram, index }: Row<unknown>, data: Float64Array): number {
  return histogram === undefined ? data[index]! : histogram.count(data, index);
}
