// The series of a pool as sinks go through them: found, named and formatted once per structure,
// so that a snapshot costs nothing but its numbers.

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

/** What a sink is told of a series when it makes its part of the row. */
export interface RowName {
  service: string;
  metric: Metric;
  labelValues: readonly string[];
  /** Whose values they are, where each writer is shown by itself. */
  writer: StructureWriter | undefined;
}

/** A series, or one writer's part of it. */
export interface Row<Part> {
  readonly series: number;
  readonly service: string;
  readonly metric: Metric;
  readonly writer: StructureWriter | undefined;
  /** Of a histogram. */
  readonly histogram: HistogramSlots | undefined;
  /** What the sink has made of its name. */
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

/** Writer ids are unique within a pool only: the one that takes its place numbers its writers from 1 again. */
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
