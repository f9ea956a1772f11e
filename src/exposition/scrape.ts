// One exposition, made as it is taken: nobody ever holds all of it. Lines are put together from bytes that were made
// before, and numbers.

import type { Directory } from "../layout/index.ts";
import type { ExposedPool, Families, Family, Member, TypeConflict } from "./families.ts";
import { type Format, OPENMETRICS_END } from "./format.ts";
import { NUMBER_BYTES_MAX, writeNumber } from "./number-text.ts";
import { type MetricText, SERIES_PER_BLOCK, type Texts } from "./templates.ts";

/** Bytes of a piece, about: a line that does not fit into one begins the next. */
export const PIECE_BYTES = 256 << 10;
const PIECE_BYTES_MIN = 4 << 10;

/** `} ` before a number, and the line's end behind it. */
const AROUND_NUMBER = 3;

const BRACE = 125;
const SPACE = 32;
const NEWLINE = 10;

const NONE = new Uint8Array(0);

/** Consecutive series of a metric that are written from one stretch of values. */
interface Stretch {
  /** Place of the first among the metric's series. */
  from: number;
  to: number;
  /** Index of the first series' first value; −1 to ask the directory for each. */
  index: number;
  /** Labels behind the series' own. */
  labels: Uint8Array;
}

export class Scrape {
  /** Metrics that are left out because their names have another type already. */
  readonly conflicts: readonly TypeConflict[];
  readonly #heads: ReadonlyMap<string, Uint8Array>;
  readonly #ready: Uint8Array[] = [];
  #out: Uint8Array;
  #at = 0;
  /** Bytes handed out or ready. */
  #bytes = 0;
  #done = false;

  // Where it is: family, member, stretch, series.
  #family = 0;
  #member = 0;
  #stretches: Stretch[] | undefined;
  #stretch = 0;
  #series = 0;

  constructor(
    readonly pools: readonly ExposedPool[],
    readonly families: Families,
    readonly format: Format,
    readonly mayKeep: (bytes: number) => boolean,
  ) {
    this.conflicts = families.conflicts;
    this.#heads = families.heads(format);
    // The next text is about as long as the last.
    const expected = families.lastBytes + (families.lastBytes >> 3);
    this.#out = new Uint8Array(Math.min(PIECE_BYTES, Math.max(PIECE_BYTES_MIN, expected)));
    this.#enterFamily();
  }

  /** The next piece, or undefined when there is none any more. It is the caller's to keep. */
  next(): Uint8Array | undefined {
    while (this.#ready.length === 0 && !this.#done) this.#step();
    return this.#ready.shift();
  }

  #enterFamily(): void {
    const family = this.families.all[this.#family];
    this.#member = 0;
    this.#stretches = undefined;
    const head = family && this.#heads.get(family.name);
    if (head === undefined) return;
    this.#room(head.length);
    this.#out.set(head, this.#at);
    this.#at += head.length;
  }

  /** Writes a block of a metric's series, or one histogram, or goes on to the next. */
  #step(): void {
    const family = this.families.all[this.#family];
    if (family === undefined) return this.#finish();
    const member = family.members[this.#member];
    if (member === undefined || !this.#heads.has(family.name)) {
      this.#family++;
      return this.#enterFamily();
    }
    const stretch = this.#currentStretch(member);
    if (stretch === undefined) {
      this.#member++;
      this.#stretches = undefined;
      return;
    }
    const block = Math.floor(this.#series / SERIES_PER_BLOCK);
    const texts = member.text.block(block, this.mayKeep);
    if (member.text.isHistogram) {
      this.#writeHistogram(member, stretch, texts, this.#series);
      this.#series++;
    } else {
      const to = Math.min(stretch.to, (block + 1) * SERIES_PER_BLOCK);
      this.#writeScalars(family, member, stretch, texts, to);
      this.#series = to;
    }
  }

  #currentStretch(member: Member): Stretch | undefined {
    if (this.#stretches === undefined) {
      this.#stretches = stretchesOf(member);
      this.#stretch = 0;
      this.#series = this.#stretches[0]?.from ?? 0;
    }
    const stretch = this.#stretches[this.#stretch];
    if (stretch === undefined || this.#series < stretch.to) return stretch;
    this.#stretch++;
    this.#series = this.#stretches[this.#stretch]?.from ?? 0;
    return this.#stretches[this.#stretch];
  }

  #writeScalars(family: Family, member: Member, stretch: Stretch, texts: Texts, to: number): void {
    const { values, directory } = this.pools[member.pool]!;
    const { metric } = member;
    const { labels } = stretch;
    const { bytes, ends } = texts;
    const { series, slots } = metric;
    const blockFirst = Math.floor(this.#series / SERIES_PER_BLOCK) * SERIES_PER_BLOCK;
    // OpenMetrics has no negative totals; a service may have stored one.
    const least =
      this.format === "openmetrics" && family.type === "counter" ? 0 : Number.NEGATIVE_INFINITY;
    for (let i = this.#series; i < to; i++) {
      const index = indexOf(stretch, i, slots, directory, series);
      // The directory may have grown since its values were read: text is taken piece by piece.
      if (index < 0 || index + slots > values.length) continue;
      const value = values[index]!;
      // A gauge that nobody alive has set is absent, as a series that ended. NaN is not.
      if (!(value >= least)) continue;
      const place = i - blockFirst;
      const start = place === 0 ? 0 : ends[place - 1]!;
      const end = ends[place]!;
      this.#room(end - start + labels.length + NUMBER_BYTES_MAX + AROUND_NUMBER);
      const out = this.#out;
      let at = copy(bytes, start, end, out, this.#at);
      at = copy(labels, 0, labels.length, out, at);
      out[at++] = BRACE;
      out[at++] = SPACE;
      at = writeNumber(out, at, value);
      out[at++] = NEWLINE;
      this.#at = at;
    }
  }

  #writeHistogram(member: Member, stretch: Stretch, texts: Texts, i: number): void {
    const { values, directory } = this.pools[member.pool]!;
    const { metric, text } = member;
    const { series, slots, definition } = metric;
    const index = indexOf(stretch, i, slots, directory, series);
    if (index < 0 || index + slots > values.length) return;
    const { labels } = stretch;
    const place = i % SERIES_PER_BLOCK;
    const start = place === 0 ? 0 : texts.ends[place - 1]!;
    const end = texts.ends[place]!;
    const { bytes: bounds, ends: boundEnds } = text.bounds;
    let count = 0;
    let boundStart = 0;
    for (let bucket = 0; bucket < boundEnds.length; bucket++) {
      const boundEnd = boundEnds[bucket]!;
      const more = values[index + bucket]!;
      // Only what can be a count is counted, so that buckets never go down.
      if (more > 0) count += more;
      const length = end - start + labels.length + boundEnd - boundStart;
      this.#room(length + NUMBER_BYTES_MAX + 1);
      const out = this.#out;
      let at = copy(texts.bytes, start, end, out, this.#at);
      at = copy(labels, 0, labels.length, out, at);
      at = copy(bounds, boundStart, boundEnd, out, at);
      at = writeNumber(out, at, count);
      out[at++] = NEWLINE;
      this.#at = at;
      boundStart = boundEnd;
    }
    const sum = values[index + slots - 1]!;
    // OpenMetrics wants a sum that only rises, so none where negative values count, and no count without it.
    if (this.format === "openmetrics" && !(sum >= 0 && (definition.bounds[0] ?? 0) >= 0)) return;
    this.#writeSumAndCount(text, labels, texts, start, end, sum, count);
  }

  #writeSumAndCount(
    text: MetricText,
    labels: Uint8Array,
    texts: Texts,
    start: number,
    end: number,
    sum: number,
    count: number,
  ): void {
    const { bytes, ends } = text.sums;
    for (let i = 0; i < 2; i++) {
      const leadStart = i === 0 ? 0 : ends[0]!;
      const leadEnd = ends[i]!;
      const length = leadEnd - leadStart + end - start + labels.length;
      this.#room(length + NUMBER_BYTES_MAX + AROUND_NUMBER);
      const out = this.#out;
      let at = copy(bytes, leadStart, leadEnd, out, this.#at);
      at = copy(texts.bytes, start + text.leadBytes, end, out, at);
      at = copy(labels, 0, labels.length, out, at);
      out[at++] = BRACE;
      out[at++] = SPACE;
      at = writeNumber(out, at, i === 0 ? sum : count);
      out[at++] = NEWLINE;
      this.#at = at;
    }
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#out.length) return;
    this.#put();
    this.#out = new Uint8Array(Math.max(PIECE_BYTES, bytes));
  }

  #put(): void {
    if (this.#at > 0) this.#ready.push(this.#out.subarray(0, this.#at));
    this.#bytes += this.#at;
    this.#at = 0;
  }

  #finish(): void {
    if (this.format === "openmetrics") {
      this.#room(OPENMETRICS_END.length);
      this.#at += new TextEncoder().encodeInto(
        OPENMETRICS_END,
        this.#out.subarray(this.#at),
      ).written;
    }
    this.#put();
    this.#out = NONE;
    this.families.lastBytes = this.#bytes;
    this.#done = true;
  }
}

function stretchesOf({ metric, parts }: Member): Stretch[] {
  if (parts === undefined) return [{ from: 0, to: metric.series.length, index: -1, labels: NONE }];
  return parts.map(({ part, labels }) => {
    const from = placeOf(metric.series, part.firstSeries);
    return { from, to: from + part.count, index: part.index, labels };
  });
}

/** Where a series stands among a metric's, which are ascending. */
function placeOf(series: readonly number[], id: number): number {
  let low = 0;
  let high = series.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (series[middle]! < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

function indexOf(
  stretch: Stretch,
  i: number,
  slots: number,
  directory: Directory,
  series: readonly number[],
): number {
  if (stretch.index >= 0) return stretch.index + (i - stretch.from) * slots;
  return directory.valueIndexOf(series[i]!);
}

// The hints keep indexes 32-bit integers. For the length of a name, a loop is faster than a call with a view.
function copy(
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  target: number,
): number {
  let i = start | 0;
  let j = target | 0;
  while (i < end) {
    to[j] = from[i]!;
    i = (i + 1) | 0;
    j = (j + 1) | 0;
  }
  return j;
}
