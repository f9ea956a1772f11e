// The series of a pool as sinks go through them: found, named and formatted once per structure of the directory,
// so that a snapshot costs nothing but its numbers.

import {
  type Directory,
  HistogramSlots,
  type Metric,
  type PoolSnapshot,
  type ReadPlan,
  snapshotIndex,
  type Writer,
} from "../layout/index.ts";
import type { SinkOptions } from "./sink.ts";

/** What a sink is told of a series when it makes its part of the row. */
export interface RowName {
  service: string;
  metric: Metric;
  labelValues: readonly string[];
  /** Whose values they are, where each writer is shown by itself. */
  writer: Writer | undefined;
}

/** A series, or one writer's part of it. */
export interface Row<Part> {
  readonly series: number;
  readonly service: string;
  readonly metric: Metric;
  readonly writer: Writer | undefined;
  /** Of a histogram. */
  readonly histogram: HistogramSlots | undefined;
  /** What the sink has made of its name. */
  readonly part: Part;
  /** Index of its first value in {@link Rows.data}. */
  index: number;
  /** The count or value at the snapshot before; NaN at first. For sinks that give rates. */
  previous: number;
}

/** The rows of one pool. A row's part and its previous value live as long as its series, also when the directory is written anew. */
export class Rows<Part> {
  rows: Row<Part>[] = [];
  /** Raised whenever `rows` has changed. */
  version = 0;
  #directory: Directory | undefined;
  #plan: ReadPlan | undefined;
  #directoryBytes = -1;
  #dataLength = -1;
  #byId = new Map<string | number, Row<Part>>();
  #histograms = new Map<Metric, HistogramSlots | undefined>();

  /** @param makePart called once for each row that is new */
  constructor(
    readonly options: Pick<SinkOptions, "wanted" | "perWriter">,
    readonly makePart: (name: RowName) => Part,
  ) {}

  /** The numbers that the rows' indexes point into. */
  data(snapshot: PoolSnapshot): Float64Array {
    return this.options.perWriter === true ? snapshot.slots : snapshot.values;
  }

  /** Brings the rows up to a snapshot's structure. */
  follow(snapshot: PoolSnapshot): readonly Row<Part>[] {
    const { directory, plan } = snapshot;
    const perWriter = this.options.perWriter === true;
    const dataLength = this.data(snapshot).length;
    const same =
      directory === this.#directory &&
      directory.length === this.#directoryBytes &&
      dataLength === this.#dataLength &&
      (!perWriter || plan === this.#plan);
    if (same) return this.rows;

    const known =
      directory === this.#directory ? this.#byId : new Map<string | number, Row<Part>>();
    const carried = directory === this.#directory ? undefined : this.#byName();
    this.#directory = directory;
    this.#plan = plan;
    this.#directoryBytes = directory.length;
    this.#dataLength = dataLength;
    this.#byId = new Map();
    if (carried !== undefined) this.#histograms = new Map();
    this.rows = [];
    const add = (
      id: string | number,
      series: number,
      metric: Metric,
      index: number,
      writer?: Writer,
    ) => {
      if (index < 0 || index + metric.slots > dataLength) return;
      const row = known.get(id) ?? this.#make(directory, series, metric, writer, carried);
      row.index = index;
      this.#byId.set(id, row);
      this.rows.push(row);
    };
    if (perWriter) this.#eachOfWriters(directory, plan, add);
    else this.#eachSeries(directory, add);
    this.version++;
    return this.rows;
  }

  #eachSeries(
    directory: Directory,
    add: (id: number, series: number, metric: Metric, index: number) => void,
  ): void {
    for (const metric of directory.metrics.values()) {
      if (!this.#wants(directory, metric)) continue;
      for (const series of metric.series)
        add(series, series, metric, directory.valueIndexOf(series));
    }
  }

  #eachOfWriters(
    directory: Directory,
    plan: ReadPlan,
    add: (id: string, series: number, metric: Metric, index: number, writer: Writer) => void,
  ): void {
    for (const writer of directory.writers.values()) {
      for (const { metric, page, slot, firstSeries, count } of writer.runs) {
        const start = snapshotIndex(plan, page, slot);
        if (start < 0 || !this.#wants(directory, metric)) continue;
        for (let i = 0; i < count; i++) {
          const series = firstSeries + i;
          add(`${writer.id} ${series}`, series, metric, start + i * metric.slots, writer);
        }
      }
    }
  }

  #wants(directory: Directory, metric: Metric): boolean {
    if (metric.retired) return false;
    return this.options.wanted?.(serviceOf(directory, metric), metric) ?? true;
  }

  #make(
    directory: Directory,
    series: number,
    metric: Metric,
    writer: Writer | undefined,
    carried: ReadonlyMap<string, Row<Part>> | undefined,
  ): Row<Part> {
    const service = serviceOf(directory, metric);
    const labelValues = directory.labelValues(series);
    const before = carried?.get(rowName(service, metric, labelValues, writer));
    if (!this.#histograms.has(metric)) this.#histograms.set(metric, HistogramSlots.of(metric));
    return {
      series,
      service,
      metric,
      writer,
      histogram: this.#histograms.get(metric),
      part: before?.part ?? this.makePart({ service, metric, labelValues, writer }),
      index: 0,
      previous: before?.previous ?? Number.NaN,
    };
  }

  /** The rows by names that stay when the directory is written anew, which gives series other numbers. */
  #byName(): Map<string, Row<Part>> {
    const directory = this.#directory;
    const names = new Map<string, Row<Part>>();
    if (directory === undefined) return names;
    for (const row of this.rows) {
      const { service, metric, series, writer } = row;
      names.set(rowName(service, metric, directory.labelValues(series), writer), row);
    }
    return names;
  }
}

/** The row's count, where it is a histogram, or its value. NaN is absent. */
export function rowValue({ histogram, index }: Row<unknown>, data: Float64Array): number {
  return histogram === undefined ? data[index]! : histogram.count(data, index);
}

function serviceOf(directory: Directory, metric: Metric): string {
  return directory.services.get(metric.service) ?? "";
}

function rowName(
  service: string,
  { definition }: Metric,
  labelValues: readonly string[],
  writer: Writer | undefined,
): string {
  const { name, kind, unit, labelNames } = definition;
  return JSON.stringify([writer?.id, service, name, kind, unit, labelNames, labelValues]);
}
