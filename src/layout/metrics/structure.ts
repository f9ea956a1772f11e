// What series a pool has, as a value that never changes: the agent, the collector's reading thread and recordings make one
// for each change, snapshots carry it, and whoever takes snapshots compares one reference to know that nothing has changed.
// It has only what is wanted: whoever takes it has nothing left to filter.

import { ByteReader } from "../bytes.ts";
import { LIMITS } from "../constants.ts";
import type { Directory } from "../memory/directory.ts";
import type { DirectoryMetric, Metric, Run } from "../memory/entries.ts";
import { mappedPlan, planRead, type ReadPlan } from "../memory/read-plan.ts";
import type { WriterEntry } from "../memory/writer-entry.ts";
import { countingSince } from "./counting-since.ts";

/** A metric with its series. The same object for as long as it has the same series. */
export interface StructureMetric {
  /** The same object for as long as the numbering is the same. */
  readonly metric: Metric;
  /** Name of its service. */
  readonly service: string;
  /** Ids of its series, ascending. */
  readonly series: Uint32Array;
  /** Of each series: the index of its first value among a snapshot's. */
  readonly indexes: Int32Array;
  /** Of each series: where its label values begin in the log, each a u16 length and UTF-8 that was checked. */
  readonly labelOffsets: Uint32Array;
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
   * Which of an earlier structure's series each of this one's is. A directory that was written anew gives them other
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
  /** Series that the directory had of it, bound or not. */
  total: number;
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

  constructor(options: StructureOptions = {}) {
    this.#options = options;
    this.#wants = options.wants ?? (() => true);
  }

  /** The structure that a directory has now. */
  of(directory: Directory): Structure {
    if (directory !== this.#directory) {
      this.#metrics = new Map();
      this.#writers = new Map();
      this.#last = undefined;
      this.#directory = directory;
    } else if (directory.length === this.#length && this.#last !== undefined) {
      return this.#last;
    }
    this.#length = directory.length;
    const metrics = this.#metricsOf(directory);
    const isLess = [...this.#metrics.keys()].some((id) => !metrics.has(id));
    this.#metrics = metrics;
    const writers = this.#writersOf(directory, isLess);
    this.#last = new Structure({
      metrics: Array.from(metrics.values(), ({ entry }) => entry),
      writers,
      plan: this.#planOf(writers),
      valueCount: directory.valueCount,
      numbering: directory,
      startsMs: countingSince(directory),
      names: this.#namesOf(directory),
      log: directory.log,
    });
    return this.#last;
  }

  #planOf(writers: readonly StructureWriter[]): ReadPlan {
    const { plan, mergeGapSlots, isMapped } = this.#options;
    if (plan !== undefined) return plan(writers);
    return isMapped === true ? mappedPlan(writers) : planRead(writers, mergeGapSlots);
  }

  #metricsOf(directory: Directory): Map<number, KnownMetric> {
    const metrics = new Map<number, KnownMetric>();
    for (const metric of directory.metrics.values()) {
      if (metric.retired) continue;
      const { id } = metric;
      const service = directory.services.get(metric.service) ?? "";
      const before = this.#metrics.get(id);
      if (before === undefined && !this.#wants(service, metric)) continue;
      const total = metric.series.length;
      const isSame =
        before?.total === total &&
        // Nothing of it can have been bound since.
        (before.entry.series.length === total || this.#last?.valueCount === directory.valueCount);
      metrics.set(id, isSame ? before : { entry: metricOf(directory, metric, service), total });
    }
    return metrics;
  }

  #writersOf({ writers }: Directory, isLess: boolean): StructureWriter[] {
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

  #namesOf(directory: Directory): StructureNames {
    const metrics = new Set<string>();
    for (const { definition, retired } of directory.metrics.values()) {
      if (!retired) metrics.add(definition.name);
    }
    const before = this.#last?.names;
    const { services } = directory;
    if (before?.services.length === services.size && isSameNames(before.metrics, metrics)) {
      return before;
    }
    return { services: [...services.values()], metrics: [...metrics] };
  }
}

function isSameNames(before: readonly string[], now: ReadonlySet<string>): boolean {
  return before.length === now.size && before.every((name) => now.has(name));
}

/** Series that nobody was ever bound to have no value, and are left out. */
function metricOf(directory: Directory, metric: DirectoryMetric, service: string): StructureMetric {
  const { length } = metric.series;
  const series = new Uint32Array(length);
  const indexes = new Int32Array(length);
  const labelOffsets = new Uint32Array(length);
  let count = 0;
  for (const id of metric.series) {
    const index = directory.valueIndexOf(id);
    if (index < 0) continue;
    series[count] = id;
    indexes[count] = index;
    labelOffsets[count++] = directory.labelsOffset(id);
  }
  if (count === length) return { metric, service, series, indexes, labelOffsets };
  return {
    metric,
    service,
    series: series.slice(0, count),
    indexes: indexes.slice(0, count),
    labelOffsets: labelOffsets.slice(0, count),
  };
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
