// What series a pool has, as a value that never changes: the agent, the collector's reading thread and recordings make one
// for each change, snapshots carry it, and whoever takes snapshots compares one reference to know that nothing has changed.
// It has only what is wanted: whoever takes it has nothing left to filter.

import { ByteReader } from "../bytes.ts";
import { LIMITS } from "../constants.ts";
import type { Directory } from "../memory/directory.ts";
import type { DirectoryMetric, Metric, Run } from "../memory/entries.ts";
import { mappedPlan, planRead, type ReadPlan } from "../memory/read-plan.ts";
import type { WriterEntry } from "../memory/writer-entry.ts";
import { Columns, type SeriesColumns } from "./columns.ts";
import { countingSince } from "./counting-since.ts";

/** A metric with its series. The same object for as long as it has the same series. */
export interface StructureMetric extends SeriesColumns {
  /** The same object for as long as the numbering is the same. */
  readonly metric: Metric;
  /** Name of its service. */
  readonly service: string;
  /** The same object while series were only added behind those that were there. */
  readonly columns: object;
}

/** Consecutive series of a metric in consecutive slots of a page. */
export interface StructureRun extends Readonly<Omit<Run, "metric">> {
  readonly metric: Metric;
}

/** A writer with the places of its series. The same object for as long as it has the same. */
export interface StructureWriter {
  readonly id: number;
  readonly service: number;
  readonly serviceName: string;
  readonly pid: number;
  readonly threadId: number;
  readonly startedAtMs: number;
  /** It keeps the counts of the dead. */
  readonly retained: boolean;
  /** In the order of their first series. */
  readonly runs: readonly StructureRun[];
}

/** Names of all that there is, wanted or not: to say which globs fit nothing. */
export interface StructureNames {
  readonly services: readonly string[];
  readonly metrics: readonly string[];
}

/** Leaves out metrics of services. */
export type Wants = (service: string, metric: Metric) => boolean;

export interface StructureParts {
  readonly metrics: readonly StructureMetric[];
  readonly writers: readonly StructureWriter[];
  readonly plan: ReadPlan;
  readonly valueCount: number;
  /** The same for structures whose ids and indexes mean the same. */
  readonly numbering: unknown;
  /** When each service began to count, in unix ms, by its id. */
  readonly startsMs: ReadonlyMap<number, number>;
  readonly names: StructureNames;
  /** The directory's log up to here. Label values lie in it. */
  readonly log: Uint8Array;
}

export class Structure implements StructureParts {
  readonly metrics: readonly StructureMetric[];
  readonly writers: readonly StructureWriter[];
  readonly plan: ReadPlan;
  readonly valueCount: number;
  readonly numbering: unknown;
  readonly startsMs: ReadonlyMap<number, number>;
  readonly names: StructureNames;
  readonly log: Uint8Array;
  #seriesCount: number | undefined;
  #entries: Map<Metric, StructureMetric> | undefined;

  constructor(parts: StructureParts) {
    this.metrics = parts.metrics;
    this.writers = parts.writers;
    this.plan = parts.plan;
    this.valueCount = parts.valueCount;
    this.numbering = parts.numbering;
    this.startsMs = parts.startsMs;
    this.names = parts.names;
    this.log = parts.log;
  }

  get seriesCount(): number {
    this.#seriesCount ??= this.metrics.reduce((sum, { series }) => sum + series.length, 0);
    return this.#seriesCount;
  }

  /** Label values of a metric's series, in the order of its label names. @param at its place among the metric's series */
  labelValues({ metric, labelOffsets }: StructureMetric, at: number): string[] {
    const reader = new ByteReader(this.log);
    reader.seek(labelOffsets[at]!, this.log.length);
    return metric.definition.labelNames.map(() => reader.text(LIMITS.labelValueBytes));
  }

  /** The same as they lie in the log, each a u16 length and UTF-8. */
  labelBytes({ metric, labelOffsets }: StructureMetric, at: number): Uint8Array {
    const start = labelOffsets[at]!;
    let end = start;
    for (const _ of metric.definition.labelNames) {
      end += 2 + (this.log[end]! | (this.log[end + 1]! << 8));
    }
    return this.log.subarray(start, end);
  }

  /** Label values of a series by its id; empty when the metric has none of it. */
  labelValuesOf(metric: Metric, series: number): string[] {
    this.#entries ??= new Map(this.metrics.map((entry) => [entry.metric, entry]));
    const entry = this.#entries.get(metric);
    if (entry === undefined) return [];
    const at = placeOf(entry.series, series);
    return entry.series[at] === series ? this.labelValues(entry, at) : [];
  }

  /** Whether ids and indexes mean the same as in an earlier structure: then series were only added. */
  continues(before: Structure | undefined): boolean {
    return before !== undefined && this.numbering === before.numbering;
  }

  /**
   * Which of an earlier structure's series each of this one's is. A directory that was rewritten gives them other
   * ids: then service, name, kind, unit, label names and label values tell which is which.
   */
  seriesSince(before: Structure): SeriesSince {
    return this.continues(before) ? SAME_IDS : byNames(this, before);
  }
}

/** @returns the id that a series had before; 0 for one that is new */
type SeriesSince = (entry: StructureMetric, at: number) => number;

const SAME_IDS: SeriesSince = ({ series }, at) => series[at]!;

function byNames(now: Structure, before: Structure): SeriesSince {
  const known = new Map(before.metrics.map((entry) => [identityOf(entry), entry]));
  // Looked up metric by metric, as whoever goes through a structure does.
  let of: StructureMetric | undefined;
  let ids = new Map<string, number>();
  return (entry, at) => {
    if (of !== entry) {
      of = entry;
      ids = new Map();
      const former = known.get(identityOf(entry));
      for (let i = 0; i < (former?.series.length ?? 0); i++) {
        ids.set(labelKey(before, former!, i), former!.series[i]!);
      }
    }
    return ids.size === 0 ? 0 : (ids.get(labelKey(now, entry, at)) ?? 0);
  };
}

function identityOf({ service, metric }: StructureMetric): string {
  const { name, kind, unit, labelNames } = metric.definition;
  return JSON.stringify([service, name, kind, unit, labelNames, metric.slots]);
}

const latin1 = new TextDecoder("latin1");

/** Label values as a text that is theirs alone; cheaper than the texts themselves. */
function labelKey(structure: Structure, entry: StructureMetric, at: number): string {
  return latin1.decode(structure.labelBytes(entry, at));
}

interface StructureOptions {
  /** Leaves out metrics; all are wanted unless told otherwise. */
  wants?: Wants;
  /** Gaps up to this many slots are read along; see {@link planRead}. */
  mergeGapSlots?: number;
  /** Every page is where it is, and nothing has to be fetched. */
  isMapped?: boolean;
  /** Where pages are, in memory that is laid out otherwise. */
  plan?: (writers: readonly StructureWriter[]) => ReadPlan;
}

interface KnownMetric {
  entry: StructureMetric;
  columns: Columns;
  /** Series that were looked at, bound or not. */
  total: number;
  /** Those of them that nobody was bound to. */
  unbound: number[];
}

interface KnownWriter {
  entry: WriterEntry;
  revision: number;
  shown: StructureWriter;
}

/** Makes the structures of one pool, one after the other: what has not changed is the same object in the next. */
export class Structures {
  readonly #options: StructureOptions;
  readonly #wants: Wants;
  #directory: Directory | undefined;
  #length = -1;
  #last: Structure | undefined;
  #metrics = new Map<number, KnownMetric>();
  #writers = new Map<number, KnownWriter>();
  /** Values that the directory had. */
  #valueCount = 0;
  /** The metric that names were gathered up to. */
  #lastMetric = 0;

  constructor(options: StructureOptions = {}) {
    this.#options = options;
    this.#wants = options.wants ?? (() => true);
  }

  /** The structure that a directory has now. */
  of(directory: Directory): Structure {
    if (directory !== this.#directory) {
      this.#lastMetric = 0;
      this.#metrics = new Map();
      this.#writers = new Map();
      this.#last = undefined;
      this.#directory = directory;
    } else if (directory.length === this.#length && this.#last !== undefined) {
      return this.#last;
    }
    this.#length = directory.length;
    const last = this.#last;
    const isLess = this.#followMetrics(directory);
    const metrics = Array.from(this.#metrics.values(), ({ entry }) => entry);
    const writers = this.#followWriters(directory, isLess);
    const isSame = !isLess && last !== undefined && isSameList(writers, last.writers);
    this.#valueCount = directory.valueCount;
    this.#last = new Structure({
      metrics,
      writers: isSame ? last.writers : writers,
      plan: isSame ? last.plan : this.#planOf(writers),
      valueCount: directory.valueCount,
      numbering: directory,
      startsMs: isSame ? last.startsMs : countingSince(directory),
      names: this.#namesOf(directory, isLess),
      log: directory.log,
    });
    return this.#last;
  }

  #planOf(writers: readonly StructureWriter[]): ReadPlan {
    const { plan, mergeGapSlots, isMapped } = this.#options;
    if (plan !== undefined) return plan(writers);
    return isMapped === true ? mappedPlan(writers) : planRead(writers, mergeGapSlots);
  }

  /** @returns whether a metric is there no more */
  #followMetrics(directory: Directory): boolean {
    let isLess = false;
    for (const metric of directory.metrics.values()) {
      const { id, retired } = metric;
      const known = this.#metrics.get(id);
      if (retired) {
        isLess = this.#metrics.delete(id) || isLess;
      } else if (known !== undefined) {
        this.#followSeries(directory, metric, known);
      } else {
        const service = directory.services.get(metric.service) ?? "";
        if (this.#wants(service, metric))
          this.#metrics.set(id, newMetric(directory, metric, service));
      }
    }
    return isLess;
  }

  #followSeries(directory: Directory, metric: DirectoryMetric, known: KnownMetric): void {
    const isLonger = metric.series.length > known.total;
    if (!isLonger && (known.unbound.length === 0 || this.#valueCount === directory.valueCount))
      return;
    const { service } = known.entry;
    if (known.unbound.some((id) => directory.valueIndexOf(id) >= 0)) {
      // Its place is among those that were there.
      this.#metrics.set(metric.id, newMetric(directory, metric, service));
      return;
    }
    const { length } = known.columns;
    addBound(directory, metric, known);
    if (known.columns.length > length) known.entry = entryOf(metric, service, known.columns);
  }

  #followWriters({ writers }: Directory, isLess: boolean): StructureWriter[] {
    const known = isLess ? undefined : this.#writers;
    this.#writers = new Map();
    const all: StructureWriter[] = [];
    for (const entry of writers.values()) {
      const { id, revision } = entry;
      const before = known?.get(id);
      const isSame = before?.entry === entry && before.revision === revision;
      const shown = isSame ? before.shown : this.#writerOf(entry);
      this.#writers.set(id, { entry, revision, shown });
      all.push(shown);
    }
    return all;
  }

  #writerOf(entry: WriterEntry): StructureWriter {
    const { id, service, serviceName, pid, threadId, startedAtMs, retained } = entry;
    const runs: StructureRun[] = [];
    // The directory joins runs in place.
    for (const run of entry.runs) if (this.#metrics.has(run.metric.id)) runs.push({ ...run });
    return { id, service, serviceName, pid, threadId, startedAtMs, retained, runs };
  }

  #namesOf(directory: Directory, isLess: boolean): StructureNames {
    const { services, lastId } = directory;
    const before = this.#last?.names;
    // A metric that is not wanted may have been retired: its name stays, which harms nobody.
    const isSame = before?.services.length === services.size && this.#lastMetric === lastId.metric;
    if (isSame && !isLess) return before;
    this.#lastMetric = lastId.metric;
    const metrics = new Set<string>();
    for (const { definition, retired } of directory.metrics.values()) {
      if (!retired) metrics.add(definition.name);
    }
    return { services: [...services.values()], metrics: [...metrics] };
  }
}

function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((each, i) => each === b[i]);
}

function newMetric(directory: Directory, metric: DirectoryMetric, service: string): KnownMetric {
  const columns = new Columns(metric.series.length);
  const found = { columns, total: 0, unbound: [] };
  addBound(directory, metric, found);
  return { ...found, entry: entryOf(metric, service, columns) };
}

/** Adds the series that were not looked at yet. Those that nobody was ever bound to have no value, and are left out. */
function addBound(
  directory: Directory,
  { series }: DirectoryMetric,
  known: Omit<KnownMetric, "entry">,
): void {
  while (known.total < series.length) {
    const id = series[known.total++]!;
    const index = directory.valueIndexOf(id);
    if (index < 0) known.unbound.push(id);
    else known.columns.push(id, index, directory.labelsOffset(id));
  }
}

function entryOf(metric: Metric, service: string, columns: Columns): StructureMetric {
  return { metric, service, columns, ...columns.view() };
}

/** Where a series stands among a metric's, which are ascending. */
export function placeOf(series: Uint32Array, id: number): number {
  let low = 0;
  let high = series.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (series[middle]! < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
