// The series of one metric, in columns that only grow at their ends. A view of what there is stays as it is while more is
// added: structures that follow each other share the memory, and adding a series costs that series alone.

/** What is known of each of a metric's series. */
export interface SeriesColumns {
  /** Ids, ascending. */
  readonly series: Uint32Array;
  /** The index of each one's first value among a snapshot's. */
  readonly indexes: Int32Array;
  /** Where each one's label values begin in the log, each a u16 length and UTF-8 that was checked. */
  readonly labelOffsets: Uint32Array;
}

/** A large column grows by a quarter: half of a doubled one would lie idle. */
const LARGE = 1 << 16;

export class Columns {
  #series: Uint32Array;
  #indexes: Int32Array;
  #labelOffsets: Uint32Array;
  #length = 0;

  /** @param capacity series that there is room for at first */
  constructor(capacity: number) {
    this.#series = new Uint32Array(capacity);
    this.#indexes = new Int32Array(capacity);
    this.#labelOffsets = new Uint32Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  push(series: number, index: number, labelOffset: number): void {
    this.#reserve(this.#length + 1);
    this.#series[this.#length] = series;
    this.#indexes[this.#length] = index;
    this.#labelOffsets[this.#length++] = labelOffset;
  }

  append({ series, indexes, labelOffsets }: SeriesColumns): void {
    this.#reserve(this.#length + series.length);
    this.#series.set(series, this.#length);
    this.#indexes.set(indexes, this.#length);
    this.#labelOffsets.set(labelOffsets, this.#length);
    this.#length += series.length;
  }

  /** What there is now. */
  view(): SeriesColumns {
    return {
      series: this.#series.subarray(0, this.#length),
      indexes: this.#indexes.subarray(0, this.#length),
      labelOffsets: this.#labelOffsets.subarray(0, this.#length),
    };
  }

  #reserve(length: number): void {
    const { length: capacity } = this.#series;
    if (length <= capacity) return;
    const larger = Math.max(length, 4, Math.ceil(capacity * (capacity > LARGE ? 1.25 : 2)));
    // Views keep the memory that they are of.
    this.#series = grown(this.#series, new Uint32Array(larger), this.#length);
    this.#indexes = grown(this.#indexes, new Int32Array(larger), this.#length);
    this.#labelOffsets = grown(this.#labelOffsets, new Uint32Array(larger), this.#length);
  }
}

function grown<Column extends Uint32Array | Int32Array>(
  from: Column,
  to: Column,
  length: number,
): Column {
  to.set(from.subarray(0, length));
  return to;
}
