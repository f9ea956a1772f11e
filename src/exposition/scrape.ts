// One exposition, made as it is taken: nobody ever holds all of it. Lines are put together from bytes that were made
// before, and numbers.

import type { Wants } from "../layout/index.ts";
import type { EncodedHead, ExposedPool, Families, Family } from "./families.ts";
import { type Format, OPENMETRICS_END } from "./format.ts";
import { type NameScheme, sampleLead } from "./naming/names.ts";
import type { NameClash } from "./naming/shown.ts";
import { NUMBER_BYTES_MAX, writeNumber } from "./number-text.ts";
import type { Buckets } from "./spelling.ts";
import {
  type Block,
  type HistogramTexts,
  histogramTexts,
  TextMaker,
  type Texts,
} from "./templates.ts";

/** Bytes of a piece, about: a line that does not fit into one begins the next. */
export const PIECE_BYTES = 256 << 10;
const PIECE_BYTES_MIN = 4 << 10;

/** `} ` before a number, and the line's end behind it. */
const AROUND_NUMBER = 3;

const BRACE = 125;
const SPACE = 32;
const NEWLINE = 10;

export interface ScrapeOptions {
  format: Format;
  /** How names are spelt that are not Prometheus's own; with underscores unless told otherwise. */
  names?: NameScheme;
  /** Tells when counters and histograms began, where the format has it; on unless told otherwise. */
  created?: boolean;
  /** Which buckets of log-linear histograms are shown; powers of two unless told otherwise. */
  buckets?: Buckets;
  /** Leaves out metrics. */
  wants?: Wants;
  /** Names the selection that `wants` makes: two with one name leave out the same. */
  selection?: string;
}

export class Scrape {
  /** Metrics that are shown otherwise than they were declared, the first thousand. */
  readonly clashes: readonly NameClash[];
  readonly #pools: readonly ExposedPool[];
  readonly #families: Families;
  readonly #isOpenMetrics: boolean;
  readonly #heads: ReadonlyMap<string, EncodedHead>;
  readonly #tellsCreated: boolean;
  readonly #buckets: Buckets;
  readonly #mayKeep: (bytes: number) => boolean;
  readonly #maker = new TextMaker();
  readonly #ready: Uint8Array[] = [];
  #out: Uint8Array;
  #at = 0;
  /** Bytes handed out or ready. */
  #bytes = 0;
  #done = false;
  // Where it is.
  #family = -1;
  #block = 0;
  #series = 0;
  /** Of the family: what lines begin with that tell when a series began. */
  #created: Uint8Array | undefined;
  /** Of the block. */
  #texts: Texts | undefined;
  #indexes: Int32Array | undefined;

  /**
   * @param pools with values that stay as they are until the end
   * @param mayKeep whether so many bytes of names may be kept for the next scrape
   */
  constructor(
    pools: readonly ExposedPool[],
    families: Families,
    { format, created, buckets }: Required<Pick<ScrapeOptions, "format" | "created" | "buckets">>,
    mayKeep: (bytes: number) => boolean,
  ) {
    this.#pools = pools;
    this.#families = families;
    this.#isOpenMetrics = format === "openmetrics";
    this.#heads = families.heads(format);
    this.#tellsCreated = created;
    this.#buckets = buckets;
    this.#mayKeep = mayKeep;
    this.clashes = families.clashes;
    // The next text is about as long as the last.
    const expected = families.lastBytes + (families.lastBytes >> 3);
    this.#out = new Uint8Array(Math.min(PIECE_BYTES, Math.max(PIECE_BYTES_MIN, expected)));
  }

  /** The next piece, or undefined when there is none any more. It is the caller's to keep. */
  next(): Uint8Array | undefined {
    while (this.#ready.length === 0 && !this.#done) this.#step();
    return this.#ready.shift();
  }

  /** Writes a block of series, or one histogram of it, or the head of the next family, or the end. */
  #step(): void {
    const family = this.#families.all[this.#family];
    const block = family?.blocks[this.#block];
    if (family === undefined || block === undefined) return this.#enterNextFamily();
    if (block.part !== "value") {
      if (this.#writeHistogram(block, this.#series++) < block.count) return;
    } else if (this.#created !== undefined) {
      this.#writeCreated(family, block, this.#created);
    } else {
      this.#writeScalars(family, block);
    }
    this.#block++;
    this.#series = 0;
    this.#texts = undefined;
    this.#indexes = undefined;
  }

  #enterNextFamily(): void {
    const { all } = this.#families;
    this.#family++;
    this.#block = 0;
    const family = all[this.#family];
    if (family === undefined) return this.#finish();
    const { head, created } = this.#heads.get(family.name)!;
    this.#created = this.#tellsCreated ? created : undefined;
    this.#room(head.length);
    this.#out.set(head, this.#at);
    this.#at += head.length;
  }

  #writeScalars({ type }: Family, block: Block): void {
    const { values } = this.#pools[block.pool]!;
    const { bytes, ends } = block.texts(this.#maker, this.#mayKeep);
    const indexes = block.indexes();
    // OpenMetrics has no negative totals; a service may have stored one.
    const least = this.#isOpenMetrics && type === "counter" ? 0 : Number.NEGATIVE_INFINITY;
    let start = 0;
    for (let i = 0; i < indexes.length; i++) {
      const end = ends[i]!;
      const index = indexes[i]!;
      // What was registered after the values were read has none; what nobody has set is NaN.
      const value = index < 0 || index >= values.length ? Number.NaN : values[index]!;
      if (value >= least) {
        this.#room(end - start + NUMBER_BYTES_MAX + AROUND_NUMBER);
        const out = this.#out;
        const at = writeNumber(out, copy(bytes, start, end, out, this.#at), value);
        out[at] = NEWLINE;
        this.#at = at + 1;
      }
      start = end;
    }
  }

  /** Counters in OpenMetrics: behind each total the moment when it began, with the same labels. */
  #writeCreated({ name }: Family, block: Block, created: Uint8Array): void {
    const { values } = this.#pools[block.pool]!;
    const { bytes, ends } = block.texts(this.#maker, this.#mayKeep);
    const indexes = block.indexes();
    const leadBytes = Buffer.byteLength(sampleLead(name));
    let start = 0;
    let i = 0;
    for (const { count, created: since } of block.spans) {
      for (const last = i + count; i < last; i++) {
        const end = ends[i]!;
        const index = indexes[i]!;
        const value = index < 0 || index >= values.length ? Number.NaN : values[index]!;
        if (value >= 0) {
          this.#room(2 * (end - start + NUMBER_BYTES_MAX + AROUND_NUMBER) + created.length);
          const out = this.#out;
          let at = writeNumber(out, copy(bytes, start, end, out, this.#at), value);
          out[at++] = NEWLINE;
          if (since !== undefined) {
            at = copy(created, 0, created.length, out, at);
            at = copy(bytes, start + leadBytes, end, out, at);
            at = copy(since, 0, since.length, out, at);
          }
          this.#at = at;
        }
        start = end;
      }
    }
  }

  /** @returns how many of the block's series are behind */
  #writeHistogram(block: Block, i: number): number {
    const { values } = this.#pools[block.pool]!;
    const { part } = block;
    const { metric, shown, created: since } = block.runs[0]!;
    this.#indexes ??= block.indexes();
    const index = this.#indexes[i]!;
    if (index < 0 || index + metric.slots > values.length) return i + 1;
    this.#texts ??= block.texts(this.#maker, this.#mayKeep);
    const texts = this.#texts;
    const { bytes } = texts;
    const start = i === 0 ? 0 : texts.ends[i - 1]!;
    const end = texts.ends[i]!;
    const shared = histogramTexts(metric, shown.names, this.#buckets);
    const { cuts } = shared;
    const { bytes: bounds, ends: boundEnds } = shared.bounds;
    const hasBuckets = part === "histogram" || part === "_bucket";
    let slot = 0;
    let count = 0;
    let boundStart = 0;
    for (let bucket = 0; bucket < boundEnds.length; bucket++) {
      const boundEnd = boundEnds[bucket]!;
      for (const cut = cuts[bucket]!; slot <= cut; slot++) {
        const more = values[index + slot]!;
        // Only what can be a count is counted, so that buckets never go down.
        if (more > 0) count += more;
      }
      if (!hasBuckets) continue;
      this.#room(end - start + boundEnd - boundStart + NUMBER_BYTES_MAX + AROUND_NUMBER);
      const out = this.#out;
      let at = copy(bytes, start, end, out, this.#at);
      at = copy(bounds, boundStart, boundEnd, out, at);
      at = writeNumber(out, at, count);
      out[at] = NEWLINE;
      this.#at = at + 1;
      boundStart = boundEnd;
    }
    const sum = values[index + metric.slots - 1]!;
    const lowest = metric.definition.bounds[0] ?? 0;
    const labels = bytes.subarray(start + shared.bucketLeadBytes, end);
    // OpenMetrics wants a sum that only rises, so none where negative values count, and no count without it.
    const isWhole = part === "histogram" && (!this.#isOpenMetrics || (sum >= 0 && lowest >= 0));
    if (isWhole || part === "_sum") this.#writeOfHistogram(shared, 0, labels, sum);
    if (isWhole || part === "_count") this.#writeOfHistogram(shared, 1, labels, count);
    if (this.#created !== undefined && since !== undefined) {
      this.#writeCreatedOf(this.#created, labels, since);
    }
    return i + 1;
  }

  #writeOfHistogram(
    { leads }: HistogramTexts,
    which: 0 | 1,
    labels: Uint8Array,
    value: number,
  ): void {
    const start = which === 0 ? 0 : leads.ends[0]!;
    const end = leads.ends[which]!;
    this.#room(end - start + labels.length + NUMBER_BYTES_MAX + AROUND_NUMBER);
    const out = this.#out;
    let at = copy(leads.bytes, start, end, out, this.#at);
    at = copy(labels, 0, labels.length, out, at);
    out[at++] = BRACE;
    out[at++] = SPACE;
    at = writeNumber(out, at, value);
    out[at] = NEWLINE;
    this.#at = at + 1;
  }

  #writeCreatedOf(created: Uint8Array, labels: Uint8Array, since: Uint8Array): void {
    this.#room(created.length + labels.length + since.length + AROUND_NUMBER);
    const out = this.#out;
    let at = copy(created, 0, created.length, out, this.#at);
    at = copy(labels, 0, labels.length, out, at);
    out[at++] = BRACE;
    out[at++] = SPACE;
    this.#at = copy(since, 0, since.length, out, at);
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
    if (this.#isOpenMetrics) {
      const end = new TextEncoder().encode(OPENMETRICS_END);
      this.#room(end.length);
      this.#out.set(end, this.#at);
      this.#at += end.length;
    }
    this.#put();
    this.#families.lastBytes = this.#bytes;
    this.#done = true;
  }
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
