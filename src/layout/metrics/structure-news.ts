// A structure on its way to another thread: what has changed of it since the one before. The collector's reading thread
// replays directories and makes structures; the main thread puts the same ones together from these messages, and replays
// nothing.

import { ByteWriter } from "../bytes.ts";
import type { Metric } from "../memory/entries.ts";
import type { ReadPlan } from "../memory/read-plan.ts";
import { Columns, type SeriesColumns } from "./columns.ts";
import {
  Structure,
  type StructureMetric,
  type StructureNames,
  type StructureRun,
  type StructureWriter,
} from "./structure.ts";

/** What makes a structure out of the one before. Plain data: it can be posted. What is undefined has not changed. */
export interface StructureNews {
  /** Counts the structures of a pool: snapshots say by it which is theirs. */
  readonly serial: number;
  /** Nothing of the structure before is left, if there was one: ids mean something else. */
  readonly isWhole: boolean;
  /** Label values that follow those that were sent since the last whole one; offsets count from the first of them. */
  readonly labels: Uint8Array;
  /** In their order. */
  readonly metricIds: Uint32Array | undefined;
  /** Those that are new or have other series. */
  readonly metrics: readonly PackedMetric[];
  readonly writerIds: Uint32Array | undefined;
  readonly writers: readonly PackedWriter[];
  readonly plan: ReadPlan | undefined;
  readonly valueCount: number;
  readonly startsMs: ReadonlyMap<number, number> | undefined;
  readonly names: StructureNames | undefined;
}

/** A metric with its series from one on. */
export interface PackedMetric extends SeriesColumns {
  readonly metric: Metric;
  readonly service: string;
  /** Series that were told before, and stay. */
  readonly known: number;
}

/** A writer whose runs are numbers, {@link RUN_WORDS} each: a writer may have very many. */
export interface PackedWriter extends Omit<StructureWriter, "runs"> {
  readonly runs: Uint32Array;
}

/** Metric, first series, count, page, slot, index of the first value. */
const RUN_WORDS = 6;

/** Tells of one pool's structures, in the thread that makes them. */
export class StructureSender {
  #last: Structure | undefined;
  #serial = 0;
  /** How much of each metric's columns was sent. */
  #sent = new Map<number, { columns: object; length: number }>();
  #sentBytes = 0;

  /** Of the structure that was told last. */
  get serial(): number {
    return this.#serial;
  }

  /** @returns undefined for the structure that was told last */
  newsOf(structure: Structure): StructureNews | undefined {
    if (structure === this.#last) return undefined;
    const last = structure.continues(this.#last) ? this.#last : undefined;
    if (last === undefined) {
      this.#sent = new Map();
      this.#sentBytes = 0;
    }
    const labels = new ByteWriter(1024);
    const metrics: PackedMetric[] = [];
    const known = new Set<unknown>(last === undefined ? [] : [...last.metrics, ...last.writers]);
    for (const entry of structure.metrics) {
      if (!known.has(entry)) metrics.push(this.#pack(structure, entry, labels));
    }
    const writers = structure.writers.filter((writer) => !known.has(writer)).map(packed);
    const metricIds = idsOf(structure.metrics, last?.metrics, ({ metric }) => metric.id);
    const writerIds = idsOf(structure.writers, last?.writers, ({ id }) => id);
    if (metricIds !== undefined) this.#forgetEnded(metricIds);
    this.#sentBytes += labels.length;
    this.#last = structure;
    const { plan, valueCount, startsMs, names } = structure;
    return {
      ...{ serial: ++this.#serial, isWhole: last === undefined, labels: labels.bytes().slice() },
      ...{ metricIds, metrics, writerIds, writers, valueCount },
      plan: plan === last?.plan ? undefined : plan,
      startsMs: startsMs === last?.startsMs ? undefined : startsMs,
      names: names === last?.names ? undefined : names,
    };
  }

  #forgetEnded(metricIds: Uint32Array): void {
    if (this.#sent.size <= metricIds.length) return;
    const there = new Set(metricIds);
    for (const id of this.#sent.keys()) if (!there.has(id)) this.#sent.delete(id);
  }

  /** The part of a metric that was not sent yet, with its label values behind those that were. */
  #pack(structure: Structure, entry: StructureMetric, labels: ByteWriter): PackedMetric {
    const { service, series, indexes, columns } = entry;
    // What only a directory knows of it is left out.
    const { id, service: serviceId, definition, slots } = entry.metric;
    const sent = this.#sent.get(id);
    const known = sent?.columns === columns ? sent.length : 0;
    const labelOffsets = new Uint32Array(series.length - known);
    for (let at = known; at < series.length; at++) {
      labelOffsets[at - known] = this.#sentBytes + labels.length;
      labels.raw(structure.labelBytes(entry, at));
    }
    this.#sent.set(id, { columns, length: series.length });
    const metric = { id, service: serviceId, definition, slots };
    // Of a view all of its memory would be posted.
    const added = { series: series.slice(known), indexes: indexes.slice(known), labelOffsets };
    return { metric, service, known, ...added };
  }
}

/** @returns undefined when they are those of before */
function idsOf<Of>(
  all: readonly Of[],
  before: readonly Of[] | undefined,
  idOf: (each: Of) => number,
): Uint32Array | undefined {
  const isSame =
    before?.length === all.length && all.every((each, i) => idOf(each) === idOf(before[i]!));
  return isSame ? undefined : Uint32Array.from(all, idOf);
}

function packed({ runs, ...writer }: StructureWriter): PackedWriter {
  const words = new Uint32Array(runs.length * RUN_WORDS);
  let at = 0;
  for (const { metric, firstSeries, count, page, slot, valueIndex } of runs) {
    words[at++] = metric.id;
    words[at++] = firstSeries;
    words[at++] = count;
    words[at++] = page;
    words[at++] = slot;
    words[at++] = valueIndex;
  }
  return { ...writer, runs: words };
}

/** Puts one pool's structures together, in the thread that is told of them. */
export class StructureReceiver {
  /** The same for all structures of one numbering. */
  #numbering = {};
  #metrics = new Map<number, { entry: StructureMetric; columns: Columns }>();
  #writers = new Map<number, StructureWriter>();
  #labels = new Uint8Array();
  #labelBytes = 0;
  #current: { structure: Structure; serial: number } | undefined;

  /** The structure of a serial, if it is the one that was told last. */
  current(serial: number): Structure | undefined {
    return this.#current?.serial === serial ? this.#current.structure : undefined;
  }

  /** @returns undefined for a change of a structure that this has not been told of */
  take(news: StructureNews): Structure | undefined {
    if (news.isWhole) this.#begin();
    else if (this.#current?.serial !== news.serial - 1) return undefined;
    const last = news.isWhole ? undefined : this.#current?.structure;
    this.#append(news.labels);
    for (const each of news.metrics) this.#takeMetric(each);
    if (news.metricIds !== undefined) this.#metrics = inOrder(this.#metrics, news.metricIds);
    for (const each of news.writers) this.#writers.set(each.id, this.#unpack(each));
    if (news.writerIds !== undefined) this.#writers = inOrder(this.#writers, news.writerIds);
    const hasWriters = news.writerIds !== undefined || news.writers.length > 0;
    const structure = new Structure({
      metrics: Array.from(this.#metrics.values(), ({ entry }) => entry),
      writers: last === undefined || hasWriters ? [...this.#writers.values()] : last.writers,
      plan: news.plan ?? last!.plan,
      valueCount: news.valueCount,
      startsMs: news.startsMs ?? last!.startsMs,
      numbering: this.#numbering,
      names: news.names ?? last!.names,
      log: this.#labels.subarray(0, this.#labelBytes),
    });
    this.#current = { structure, serial: news.serial };
    return structure;
  }

  /** Earlier structures keep what they have. */
  #begin(): void {
    this.#numbering = {};
    this.#metrics = new Map();
    this.#writers = new Map();
    this.#labels = new Uint8Array();
    this.#labelBytes = 0;
  }

  #append(bytes: Uint8Array): void {
    const length = this.#labelBytes + bytes.length;
    if (length > this.#labels.length) {
      // What is long grows by a quarter: half of a doubled one would lie idle.
      const grown = new Uint8Array(Math.ceil(length * (length > 1 << 20 ? 1.25 : 2)));
      grown.set(this.#labels.subarray(0, this.#labelBytes));
      this.#labels = grown;
    }
    this.#labels.set(bytes, this.#labelBytes);
    this.#labelBytes = length;
  }

  #takeMetric(told: PackedMetric): void {
    const before = this.#metrics.get(told.metric.id);
    const metric = before?.entry.metric ?? told.metric;
    const columns = told.known > 0 ? before!.columns : new Columns(told.series.length);
    columns.append(told);
    const entry = { metric, service: told.service, columns, ...columns.view() };
    this.#metrics.set(metric.id, { entry, columns });
  }

  #unpack({ runs: words, ...writer }: PackedWriter): StructureWriter {
    const runs: StructureRun[] = [];
    for (let at = 0; at < words.length; at += RUN_WORDS) {
      runs.push({
        writer: writer.id,
        metric: this.#metrics.get(words[at]!)!.entry.metric,
        firstSeries: words[at + 1]!,
        count: words[at + 2]!,
        page: words[at + 3]!,
        slot: words[at + 4]!,
        valueIndex: words[at + 5]!,
      });
    }
    return { ...writer, runs };
  }
}

function inOrder<Each>(known: ReadonlyMap<number, Each>, ids: Uint32Array): Map<number, Each> {
  return new Map(Array.from(ids, (id) => [id, known.get(id)!]));
}
