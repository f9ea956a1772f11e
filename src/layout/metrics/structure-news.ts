// A structure on its way to another thread: what has changed of it since the one before. The collector's reading thread
// replays directories and makes structures; the main thread puts the same ones together from these messages, and replays
// nothing.

import { ByteWriter } from "../bytes.ts";
import type { Metric } from "../memory/entries.ts";
import type { ReadPlan } from "../memory/read-plan.ts";
import {
  Structure,
  type StructureMetric,
  type StructureNames,
  type StructureRun,
  type StructureWriter,
} from "./structure.ts";

/** What makes a structure out of the one before. Plain data: it can be posted. */
export interface StructureNews {
  /** Counts the structures of a pool: snapshots say by it which is theirs. */
  readonly serial: number;
  /** Another number: ids mean something else, and nothing of the structure before is left. */
  readonly numbering: number;
  /** Label values that follow those that were sent under this numbering; the metrics' offsets count from the first. */
  readonly log: Uint8Array;
  /** In their order; of those that have not changed their ids. */
  readonly metrics: readonly (StructureMetric | number)[];
  /** In their order; of those that have not changed their ids. */
  readonly writers: readonly (PackedWriter | number)[];
  readonly plan: ReadPlan;
  readonly valueCount: number;
  readonly startsMs: ReadonlyMap<number, number>;
  /** Undefined while they have not changed. */
  readonly names: StructureNames | undefined;
}

/** A writer whose runs are numbers, {@link RUN_WORDS} each: a writer may have very many. */
export interface PackedWriter extends Omit<StructureWriter, "runs"> {
  readonly runs: Uint32Array;
}

/** Metric, first series, count, page, slot, index of the first value. */
const RUN_WORDS = 6;

/** Tells of one pool's structures, in the thread that makes them. Of the log it sends the label values alone. */
export class StructureSender {
  #last: Structure | undefined;
  #serial = 0;
  #numbering = 0;
  /** As they were sent: their labels lie elsewhere than in the directory's log. */
  #sent = new Map<number, StructureMetric>();
  #sentBytes = 0;

  /** Of the structure that was told last. */
  get serial(): number {
    return this.#serial;
  }

  /** @returns undefined for the structure that was told last */
  newsOf(structure: Structure): StructureNews | undefined {
    const last = this.#last;
    if (structure === last) return undefined;
    const continues = structure.continues(last);
    if (!continues) {
      this.#numbering++;
      this.#sent = new Map();
      this.#sentBytes = 0;
    }
    const same = new Set<unknown>(continues ? [...last!.metrics, ...last!.writers] : []);
    const labels = new ByteWriter(1024);
    const metrics = structure.metrics.map((entry) => {
      return same.has(entry) ? entry.metric.id : this.#pack(structure, entry, labels);
    });
    if (this.#sent.size > metrics.length) this.#forgetEnded(structure);
    const writers = structure.writers.map((each) => (same.has(each) ? each.id : packed(each)));
    const { plan, valueCount, startsMs, names } = structure;
    this.#sentBytes += labels.length;
    this.#last = structure;
    return {
      ...{ serial: ++this.#serial, numbering: this.#numbering, log: labels.bytes().slice() },
      ...{ metrics, writers, plan, valueCount, startsMs },
      names: names === last?.names ? undefined : names,
    };
  }

  #forgetEnded({ metrics }: Structure): void {
    const there = new Set(metrics.map(({ metric }) => metric.id));
    for (const id of this.#sent.keys()) if (!there.has(id)) this.#sent.delete(id);
  }

  /** Without what only the directory knows of a metric, and with its labels where they come to lie. */
  #pack(structure: Structure, entry: StructureMetric, labels: ByteWriter): StructureMetric {
    const { service, series, indexes } = entry;
    const { id, service: serviceId, definition, slots } = entry.metric;
    const known = this.#sent.get(id);
    const labelOffsets = new Uint32Array(series.length);
    for (let at = 0, was = 0; at < series.length; at++) {
      if (known !== undefined && known.series[was] === series[at]) {
        labelOffsets[at] = known.labelOffsets[was++]!;
      } else {
        labelOffsets[at] = this.#sentBytes + labels.length;
        labels.raw(structure.labelBytes(entry, at));
      }
    }
    const metric = { id, service: serviceId, definition, slots };
    const sent = { metric, service, series, indexes, labelOffsets };
    this.#sent.set(id, sent);
    return sent;
  }
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
  #numbering = -1;
  /** The same for all structures of one numbering. */
  #identity = {};
  #metrics = new Map<number, StructureMetric>();
  #writers = new Map<number, StructureWriter>();
  #names: StructureNames = { services: [], metrics: [] };
  #log = new Uint8Array();
  #logBytes = 0;
  #current: { structure: Structure; serial: number } | undefined;

  /** The structure of a serial, if it is the one that was told last. */
  current(serial: number): Structure | undefined {
    return this.#current?.serial === serial ? this.#current.structure : undefined;
  }

  take(news: StructureNews): Structure {
    const { serial, numbering, plan, valueCount, startsMs } = news;
    if (numbering !== this.#numbering) {
      this.#numbering = numbering;
      this.#identity = {};
      this.#metrics = new Map();
      this.#writers = new Map();
      // Earlier structures keep theirs.
      this.#log = new Uint8Array();
      this.#logBytes = 0;
    }
    this.#append(news.log);
    this.#names = news.names ?? this.#names;
    const metrics = news.metrics.map((each) => this.#metricOf(each));
    this.#metrics = new Map(metrics.map((each) => [each.metric.id, each]));
    const writers = news.writers.map((each) => this.#writerOf(each));
    this.#writers = new Map(writers.map((each) => [each.id, each]));
    const structure = new Structure({
      metrics,
      writers,
      plan,
      valueCount,
      startsMs,
      numbering: this.#identity,
      names: this.#names,
      log: this.#log.subarray(0, this.#logBytes),
    });
    this.#current = { structure, serial };
    return structure;
  }

  #append(bytes: Uint8Array): void {
    const length = this.#logBytes + bytes.length;
    if (length > this.#log.length) {
      // A long log grows by a quarter: half of a doubled one would lie idle.
      const grown = new Uint8Array(Math.ceil(length * (length > 1 << 20 ? 1.25 : 2)));
      grown.set(this.#log.subarray(0, this.#logBytes));
      this.#log = grown;
    }
    this.#log.set(bytes, this.#logBytes);
    this.#logBytes = length;
  }

  #metricOf(told: StructureMetric | number): StructureMetric {
    if (typeof told === "number") return this.#metrics.get(told)!;
    const known = this.#metrics.get(told.metric.id);
    return known === undefined ? told : { ...told, metric: known.metric };
  }

  #writerOf(told: PackedWriter | number): StructureWriter {
    if (typeof told === "number") return this.#writers.get(told)!;
    const { runs: words, ...writer } = told;
    const runs: StructureRun[] = [];
    for (let at = 0; at < words.length; at += RUN_WORDS) {
      const metric: Metric = this.#metrics.get(words[at]!)!.metric;
      runs.push({
        writer: writer.id,
        metric,
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
