// Finds a series by its metric and label values: an open-addressing hash table of series ids over the log's own bytes,
// so that a series costs a few bytes and not a string.

/** Steps and compared bytes that a byte of the log may cost: what is well takes about one. */
const WORK_PER_BYTE = 16;
const WORK_LEAST = 1 << 20;

export class SeriesTable {
  #ids = new Uint32Array(64);
  /** By id: the hash of each series, and where its key begins in the log. */
  #hashes = new Uint32Array(64);
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
    return this.#ids[this.#placeOf(log, hash, key, 0, key.length)]!;
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
    if (this.#ids[place] !== 0) return false;
    if (series >= this.#hashes.length) {
      this.#hashes = grown(this.#hashes, series);
      this.#starts = grown(this.#starts, series);
    }
    this.#hashes[series] = hash;
    this.#starts[series] = start;
    this.#ids[place] = series;
    if (++this.#count * 2 > this.#ids.length) this.#grow();
    return true;
  }

  /** Where the key's series is, or an empty place for it. */
  #placeOf(log: Uint8Array, hash: number, key: Uint8Array, start: number, end: number): number {
    const ids = this.#ids;
    const hashes = this.#hashes;
    const mask = ids.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const id = ids[place]!;
      if (id === 0) return place;
      this.#work++;
      if (hashes[id] !== hash) continue;
      // Texts state their lengths: what begins with a key is that key.
      const at = this.#starts[id]!;
      let same = 0;
      while (start + same < end && log[at + same] === key[start + same]) same++;
      this.#work += same;
      if (start + same === end) return place;
    }
  }

  #grow(): void {
    const known = this.#ids;
    const ids = new Uint32Array(known.length * 2);
    const mask = ids.length - 1;
    for (const id of known) {
      if (id === 0) continue;
      let place = this.#hashes[id]! & mask;
      while (ids[place] !== 0) {
        place = (place + 1) & mask;
        this.#work++;
      }
      ids[place] = id;
    }
    this.#ids = ids;
  }
}

/** Of bytes, mixed so that the lowest bits depend on all of them. */
function hashOf(seed: number, bytes: Uint8Array, start: number, end: number): number {
  let hash = seed;
  for (let i = start; i < end; i++) {
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
