// Finds a series by its metric and label values: an open-addressing hash table of series ids over the log's own bytes,
// so that a series costs a few bytes and not a string.

/** Steps and compared bytes that a byte of the log may cost: what is well takes about one. */
const WORK_PER_BYTE = 16;
const WORK_LEAST = 1 << 20;

/** Where series stand in the log. A key is a metric's id as u32, then label values, each a u16 length and UTF-8. */
export interface SeriesKeys {
  /** The log, and more behind it. */
  readonly bytes: Uint8Array;
  /** Where a series' key begins. */
  start(series: number): number;
  end(series: number): number;
}

export class SeriesTable {
  #ids = new Uint32Array(64);
  #count = 0;
  #work = 0;
  /** Nobody can choose label values that all fall into one place. */
  readonly #seed = Math.floor(Math.random() * 0x1_0000_0000);

  /** @returns the id of the series that has the key, or 0 */
  find(keys: SeriesKeys, key: Uint8Array): number {
    return this.#ids[this.#placeOf(keys, key)]!;
  }

  /**
   * Takes in a series that has the key.
   * @param logBytes so far, which bounds the work
   * @returns false when another series has the key, or finding that out takes too much for a log of this length
   */
  add(keys: SeriesKeys, key: Uint8Array, series: number, logBytes: number): boolean {
    if (this.#work > WORK_LEAST + logBytes * WORK_PER_BYTE) return false;
    const place = this.#placeOf(keys, key);
    if (this.#ids[place] !== 0) return false;
    this.#ids[place] = series;
    if (++this.#count * 2 > this.#ids.length) this.#grow(keys);
    return true;
  }

  /** Where the key's series is, or an empty place for it. */
  #placeOf({ bytes, start }: SeriesKeys, key: Uint8Array): number {
    const mask = this.#ids.length - 1;
    for (let place = Bun.hash.xxHash32(key, this.#seed) & mask; ; place = (place + 1) & mask) {
      const id = this.#ids[place]!;
      if (id === 0) return place;
      // Texts state their lengths: a key that begins like another is that one.
      const same = equalBytes(bytes, start(id), key);
      this.#work += same + 1;
      if (same === key.length) return place;
    }
  }

  #grow(keys: SeriesKeys): void {
    const known = this.#ids;
    this.#ids = new Uint32Array(known.length * 2);
    const mask = this.#ids.length - 1;
    for (const id of known) {
      if (id === 0) continue;
      const key = keys.bytes.subarray(keys.start(id), keys.end(id));
      let place = Bun.hash.xxHash32(key, this.#seed) & mask;
      while (this.#ids[place] !== 0) {
        place = (place + 1) & mask;
        this.#work++;
      }
      this.#ids[place] = id;
    }
  }
}

/** How many bytes of a key the log has at some place. */
function equalBytes(log: Uint8Array, start: number, key: Uint8Array): number {
  let i = 0;
  while (i < key.length && log[start + i] === key[i]) i++;
  return i;
}
