// Finds a series by its metric and label values: an open-addressing hash table of series ids over the log's own bytes,
// so that a series costs a few bytes and not a string.

/** Steps and compared bytes that a byte of the log may cost: what is well takes about one. */
const WORK_PER_BYTE = 16;
const WORK_LEAST = 1 << 20;
/** Words of a place, and of the table per series when it is half full and grows. */
const PLACE_WORDS = 2;
const WORDS_PER_SERIES_LEAST = 2 * PLACE_WORDS;

export class SeriesTable {
  /** Places of two words: a series' id, 0 where there is none, and the hash of its key beside it. */
  #places = new Uint32Array(PLACE_WORDS * 64);
  /** By id: where the key of a series begins in the log. */
  #starts = new Uint32Array(64);
  #count = 0;
  #work = 0;
  /** Nobody can choose label values that all fall into one place. */
  readonly #seed = Math.floor(Math.random() * 0x1_0000_0000) | 0;

  /**
   * @param log where the series that are known lie
   * @param key a metric's id as u32, then label values, each a u16 length and UTF-8
   * @returns the id of the series that has the key, or 0
   */
  find(log: Uint8Array, key: Uint8Array): number {
    const hash = hashOf(this.#seed, key, 0, key.length);
    return this.#places[this.#placeOf(log, hash, key, 0, key.length)]!;
  }

  /**
   * Takes in a series whose key lies in the log from `start` to `end`.
   * @param logBytes so far, which bounds the work
   * @returns false when another series has the key, or finding that out takes too much for a log of this length
   */
  add(log: Uint8Array, start: number, end: number, series: number, logBytes: number): boolean {
    if (this.#work > WORK_LEAST + logBytes * WORK_PER_BYTE) return false;
    const hash = hashOf(this.#seed, log, start, end);
    const place = this.#placeOf(log, hash, log, start, end);
    if (this.#places[place] !== 0) return false;
    if (series >= this.#starts.length) this.#starts = grown(this.#starts, series);
    this.#starts[series] = start;
    this.#places[place] = series;
    this.#places[place + 1] = hash;
    if (++this.#count * WORDS_PER_SERIES_LEAST > this.#places.length) this.#grow();
    return true;
  }

  /** Where the key's series is, or an empty place for it. */
  #placeOf(log: Uint8Array, hash: number, key: Uint8Array, start: number, end: number): number {
    const places = this.#places;
    const last = places.length - PLACE_WORDS;
    for (let place = (hash << 1) & last; ; place = (place + PLACE_WORDS) & last) {
      const id = places[place]!;
      if (id === 0) return place;
      this.#work++;
      if (places[place + 1] !== hash) continue;
      // Texts state their lengths: what begins with a key is that key.
      const at = this.#starts[id]!;
      let same = 0;
      while (start + same < end && log[at + same] === key[start + same]) same++;
      this.#work += same;
      if (start + same === end) return place;
    }
  }

  #grow(): void {
    const known = this.#places;
    const places = new Uint32Array(known.length * 2);
    const last = places.length - PLACE_WORDS;
    for (let from = 0; from < known.length; from += PLACE_WORDS) {
      const id = known[from]!;
      if (id === 0) continue;
      const hash = known[from + 1]!;
      let place = (hash << 1) & last;
      while (places[place] !== 0) {
        place = (place + PLACE_WORDS) & last;
        this.#work++;
      }
      places[place] = id;
      places[place + 1] = hash;
    }
    this.#places = places;
  }
}

/** Of bytes, four at a time, mixed so that the lowest bits depend on all of them. */
function hashOf(seed: number, bytes: Uint8Array, start: number, end: number): number {
  let hash = seed ^ (end - start);
  let i = start;
  for (; i + 4 <= end; i += 4) {
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    hash = Math.imul(hash ^ word, 0x9e37_79b1);
    hash ^= hash >>> 15;
  }
  for (; i < end; i++) {
    hash = Math.imul(hash ^ bytes[i]!, 0x9e37_79b1);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

function grown(column: Uint32Array, index: number): Uint32Array<ArrayBuffer> {
  const wider = new Uint32Array(Math.max(index + 1, column.length * 2));
  wider.set(column);
  return wider;
}
