// What of an exposition does not change from scrape to scrape, as bytes: each series' name and labels, each bucket's
// bound. Series are taken a block at a time; a block's texts are made when a scrape first comes to it, kept while there
// is room, and made again each time beyond that.

import type { Metric, StructureMetric } from "../layout/index.ts";
import { labelName, type NameScheme, type PrometheusNames, sampleLead } from "./naming/names.ts";
import { freeName } from "./naming/sample-labels.ts";
import type { Shown } from "./naming/shown.ts";
import { type Buckets, escapeLabel, formatBound, shownBuckets } from "./spelling.ts";

/** Texts one after the other; text i ends at `ends[i]`, where the next one starts. */
export interface Texts {
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
}

const encoder = new TextEncoder();

/** Series that are written together. */
export const SERIES_PER_BLOCK = 256;

/** What of a metric's samples is in a block: all of a histogram's, or, where it has no type, those of one name. */
export type Part = "value" | "histogram" | "_bucket" | "_sum" | "_count";

/** A writer whose own values are shown. */
export interface ShownWriter {
  id: number;
  pid: number;
  retained: boolean;
  startedAtMs: number;
}

/** Consecutive series of a metric whose values one writer has, or all together. */
export interface Run {
  /** The log that label values lie in. */
  log: Uint8Array;
  entry: StructureMetric;
  metric: Metric;
  /** What it is called. */
  shown: Shown;
  scheme: NameScheme;
  writer: ShownWriter | undefined;
  /** Places among the metric's series, the end not included. */
  from: number;
  to: number;
  /** Index of the first series' first value; −1 for that of each in the structure. */
  index: number;
  /** When they began to count, as text with the line's end; undefined when that is not known. */
  created: Uint8Array | undefined;
}

/** Series that are written one after the other, from the values of one pool; of a histogram, all of one metric. */
export class Block {
  readonly runs: Run[] = [];
  /** Of each run, what is asked at every scrape: how many series it has, and when they began. */
  readonly spans: { count: number; created: Uint8Array | undefined }[] = [];
  count = 0;
  /** Of the texts, when they are kept. */
  keptBytes = 0;
  #texts: Texts | undefined;
  #indexes: Int32Array | undefined;

  constructor(
    /** Index of the pool among those exposed. */
    readonly pool: number,
    readonly part: Part,
  ) {}

  add(run: Run): void {
    const count = run.to - run.from;
    this.runs.push(run);
    this.spans.push({ count, created: run.created });
    this.count += count;
  }

  /**
   * `name{labels} ` of each series; of whatever part of a histogram `name_bucket{labels`.
   * @param maker makes them where they are not kept; they are good until it makes others
   * @param mayKeep whether so many bytes may be kept
   */
  texts(maker: TextMaker, mayKeep: (bytes: number) => boolean): Texts {
    if (this.#texts !== undefined) return this.#texts;
    const texts = maker.make(this);
    const bytes = texts.bytes.length + texts.ends.byteLength;
    if (!mayKeep(bytes)) return texts;
    this.#texts = { bytes: texts.bytes.slice(), ends: texts.ends.slice() };
    this.keptBytes = bytes;
    return this.#texts;
  }

  /** Index of each series' first value. */
  indexes(): Int32Array {
    if (this.#indexes !== undefined) return this.#indexes;
    const [first] = this.runs;
    // Most blocks are a part of one metric's series.
    if (this.runs.length === 1 && first!.index < 0) {
      this.#indexes = first!.entry.indexes.subarray(first!.from, first!.to);
      return this.#indexes;
    }
    const indexes = new Int32Array(this.count);
    let i = 0;
    for (const { entry, metric, from, to, index } of this.runs) {
      for (let j = from; j < to; j++) {
        indexes[i++] = index < 0 ? entry.indexes[j]! : index + (j - from) * metric.slots;
      }
    }
    if (this.keptBytes > 0) this.#indexes = indexes;
    return indexes;
  }

  /** Takes over the texts of a block of an earlier structure, if they are the same. */
  inherit(before: Block): void {
    if (before.#texts === undefined || before.runs.length !== this.runs.length) return;
    if ((before.part === "value") !== (this.part === "value")) return;
    if (!this.runs.every((run, i) => isSameText(run, before.runs[i]!))) return;
    this.#texts = before.#texts;
    this.keptBytes = before.keptBytes;
  }

  forget(): void {
    this.#texts = undefined;
    this.#indexes = undefined;
    this.keptBytes = 0;
  }
}

function isSameText(a: Run, b: Run): boolean {
  return (
    a.metric === b.metric &&
    a.from === b.from &&
    a.to === b.to &&
    a.writer?.id === b.writer?.id &&
    a.shown.names === b.shown.names &&
    a.shown.added.length === b.shown.added.length &&
    a.shown.added.every(([name, value], i) => {
      const [otherName, otherValue] = b.shown.added[i]!;
      return name === otherName && value === otherValue;
    })
  );
}

/** What the lines of a histogram's buckets end with, and its other lines begin with. */
export interface HistogramTexts {
  /** `,le="0.1"} ` of each bucket that is shown. */
  bounds: Texts;
  /** Slots after which the count so far is that of each. */
  cuts: Int32Array;
  /** `name_sum{` and `name_count{`, or what stands there of names in quotes. */
  leads: Texts;
  /** Bytes of `name_bucket{`, before the labels of each series. */
  bucketLeadBytes: number;
}

const histograms = {
  powers: new WeakMap<PrometheusNames, HistogramTexts>(),
  all: new WeakMap<PrometheusNames, HistogramTexts>(),
} as const satisfies Record<Buckets, object>;

/** @param names those of the metric, in one scheme or another */
export function histogramTexts(
  metric: Metric,
  names: PrometheusNames,
  buckets: Buckets,
): HistogramTexts {
  let texts = histograms[buckets].get(names);
  if (texts === undefined) {
    const { name } = names;
    texts = {
      ...bucketTexts(metric, buckets),
      leads: textsOf([sampleLead(`${name}_sum`), sampleLead(`${name}_count`)]),
      bucketLeadBytes: Buffer.byteLength(sampleLead(`${name}_bucket`)),
    };
    histograms[buckets].set(names, texts);
  }
  return texts;
}

type BucketTexts = Pick<HistogramTexts, "bounds" | "cuts">;

// Hundreds of metrics have the same bounds: those of the default.
const bucketsByShape = new Map<string, WeakRef<BucketTexts>>();
const forgotten = new FinalizationRegistry<string>((shape) => {
  if (bucketsByShape.get(shape)?.deref() === undefined) bucketsByShape.delete(shape);
});

function bucketTexts(metric: Metric, buckets: Buckets): BucketTexts {
  const { bounds: own, logLinear } = metric.definition;
  const shape = JSON.stringify([buckets, own, logLinear]);
  let texts = bucketsByShape.get(shape)?.deref();
  if (texts === undefined) {
    const { bounds, cuts } = shownBuckets(metric, buckets);
    texts = { bounds: textsOf(bounds.map((bound) => `,le="${formatBound(bound)}"} `)), cuts };
    bucketsByShape.set(shape, new WeakRef(texts));
    forgotten.register(texts, shape);
  }
  return texts;
}

const MAKER_BYTES_MIN = 16 << 10;
const BACKSLASH = 92;
const QUOTE = 34;
const NEWLINE = 10;
const LETTER_N = 110;

/**
 * Makes the texts of a block, over and over in the same memory. Label values go from the log's bytes to the text's
 * without becoming strings: a million of them would be garbage faster than it is cleared away.
 */
export class TextMaker {
  #bytes = new Uint8Array(MAKER_BYTES_MIN);
  #length = 0;
  readonly #ends = new Uint32Array(SERIES_PER_BLOCK);
  #count = 0;

  make({ runs, part }: Block): Texts {
    this.#length = 0;
    this.#count = 0;
    for (const run of runs) this.#addRun(run, part !== "value");
    return {
      bytes: this.#bytes.subarray(0, this.#length),
      ends: this.#ends.subarray(0, this.#count),
    };
  }

  #addRun(run: Run, isHistogram: boolean): void {
    const { log, entry, shown, scheme, writer, from, to } = run;
    const { name, labelNames } = shown.names;
    let shared = "";
    for (const [label, value] of shown.added) {
      shared += `,${labelName(label)}="${escapeLabel(value)}"`;
    }
    if (writer !== undefined) shared += writerLabels(writer, labelNames, scheme);
    if (!isHistogram) shared += "} ";
    const lead = sampleLead(isHistogram ? `${name}_bucket` : name);
    if (labelNames.length === 0) {
      // There is one label at least: without any of the metric's own, ours are all there.
      const whole = encoder.encode(lead + shared.slice(1));
      for (let i = from; i < to; i++) {
        this.#add(whole);
        this.#end();
      }
      return;
    }
    const before = labelNames.map((label, i) =>
      encoder.encode(`${i === 0 ? lead : '",'}${labelName(label)}="`),
    );
    const behind = encoder.encode(`"${shared}`);
    const { labelOffsets } = entry;
    for (let i = from; i < to; i++) {
      let at = labelOffsets[i]!;
      for (let label = 0; label < before.length; label++) {
        this.#add(before[label]!);
        const start = at + 2;
        at = start + (log[at]! | (log[at + 1]! << 8));
        this.#addEscaped(log, start, at);
      }
      this.#add(behind);
      this.#end();
    }
  }

  #add(text: Uint8Array): void {
    this.#room(text.length);
    this.#bytes.set(text, this.#length);
    this.#length += text.length;
  }

  /** A label value inside its quotes. No byte of a longer character looks like one that is escaped. */
  #addEscaped(from: Uint8Array, start: number, end: number): void {
    this.#room(2 * (end - start));
    const bytes = this.#bytes;
    let at = this.#length;
    for (let i = start; i < end; i++) {
      const byte = from[i]!;
      if (byte === NEWLINE || byte === QUOTE || byte === BACKSLASH) bytes[at++] = BACKSLASH;
      bytes[at++] = byte === NEWLINE ? LETTER_N : byte;
    }
    this.#length = at;
  }

  #end(): void {
    this.#ends[this.#count++] = this.#length;
  }

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

/** What the dead have counted is of no process. */
function writerLabels(
  { id, pid, retained }: ShownWriter,
  own: readonly string[],
  scheme: NameScheme,
): string {
  const nameOf = (label: string) => labelName(freeName(label, own, scheme));
  if (retained) return `,${nameOf("writer")}="retained"`;
  return `,${nameOf("writer")}="${id}",${nameOf("pid")}="${pid}"`;
}

function textsOf(parts: readonly string[]): Texts {
  const whole = parts.join("");
  const bytes = encoder.encode(whole);
  const ends = new Uint32Array(parts.length);
  // As long in bytes as in characters: ASCII alone, which is usual.
  const isAscii = bytes.length === whole.length;
  let end = 0;
  for (let i = 0; i < parts.length; i++) {
    end += isAscii ? parts[i]!.length : Buffer.byteLength(parts[i]!);
    ends[i] = end;
  }
  return { bytes, ends };
}
