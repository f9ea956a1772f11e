// Finds a series by its metric and label values: an open-addressing hash table of series ids over the log's own bytes,
// so that a series costs a few bytes and not a string.

import { LIMITS } from "../constants.ts";

/** A place is a series' id, or 0, and above it as many bits of its key's hash as there is room for. */
const ID_BITS = 25;
const ID_MASK = 2 ** ID_BITS - 1;
if (LIMITS.maxId > ID_MASK) throw new Error("ids of series do not fit the places of the table");
/** Beyond so many eighths the table grows: more of them take longer to find, fewer take more memory. */
const FULL_EIGHTHS = 6;

/** The log that the keys of the series lie in. A key is a metric's id as u32, then label values, each u16 length and UTF-8. */
interface KeyedLog {
  /** The log in words of little-endian machines: keys begin at full words. */
  words(): Uint32Array;
  /** Byte offset of a known series' key. */
  keyStart(series: number): number;
  /** Byte offset behind it. */
  keyEnd(series: number): number;
}

export class SeriesTable {
  #places = new Uint32Array(64);
  #count = 0;
  #lastSeries = 0;
  #sought = new Uint32Array(64);
  #soughtBytes = new Uint8Array(this.#sought.buffer);
  /** Not of `Math.random`: what that gives next follows from what it gave before, and others are shown that. */
  readonly #secret = crypto.getRandomValues(new Int32Array(2));
  readonly #log: KeyedLog;

  constructor(log: KeyedLog) {
    this.#log = log;
  }

  /** @returns the id of the series that has the key, or 0 */
  find(key: Uint8Array): number {
    if (key.length > this.#soughtBytes.length) {
      this.#sought = new Uint32Array(key.length);
      this.#soughtBytes = new Uint8Array(this.#sought.buffer);
    }
    this.#soughtBytes.set(key);
    const hash = hashOf(this.#secret, this.#sought, 0, key.length);
    return this.#places[this.#placeOf(hash, this.#sought, 0, key.length)]! & ID_MASK;
  }

  /**
   * Takes in a series whose key lies in the log from `start` to `end`.
   * @param logBytes how long the log is, by which the table is sized when it grows
   * @returns false when another series has the key
   */
  add(start: number, end: number, series: number, logBytes: number): boolean {
    const words = this.#log.words();
    const hash = hashOf(this.#secret, words, start >>> 2, end - start);
    const place = this.#placeOf(hash, words, start >>> 2, end - start);
    if (this.#places[place] !== 0) return false;
    if ((this.#count + 1) * 8 > this.#places.length * FULL_EIGHTHS) {
      // The rest of the log is taken to be as what came before, so that a long one needs no growing on the way.
      this.#grow(Math.max(this.#count + 1, Math.floor((this.#count * logBytes) / end)));
      this.#put(hash, series);
    } else {
      this.#places[place] = placeWord(hash, series);
    }
    this.#count++;
    this.#lastSeries = Math.max(this.#lastSeries, series);
    return true;
  }

  /** Where the key's series is, or an empty place for it. */
  #placeOf(hash: number, key: Uint32Array, first: number, bytes: number): number {
    const places = this.#places;
    const last = places.length - 1;
    const tag = hash >>> ID_BITS;
    for (let place = hash & last; ; place = (place + 1) & last) {
      const word = places[place]!;
      if (word === 0) return place;
      if (word >>> ID_BITS === tag && this.#has(word & ID_MASK, key, first, bytes)) return place;
    }
  }

  /** Whether a series has a key. Texts state their lengths: what begins with a key is that key. */
  #has(series: number, key: Uint32Array, first: number, bytes: number): boolean {
    const words = this.#log.words();
    const at = this.#log.keyStart(series) >>> 2;
    const whole = bytes >>> 2;
    for (let i = 0; i < whole; i++) {
      if (words[at + i] !== key[first + i]) return false;
    }
    return ((words[at + whole]! ^ key[first + whole]!) & tailMask(bytes)) === 0;
  }

  #put(hash: number, series: number): void {
    const places = this.#places;
    const last = places.length - 1;
    let place = hash & last;
    for (; places[place] !== 0; place = (place + 1) & last);
    places[place] = placeWord(hash, series);
  }

  /** @param expected how many series there will be */
  #grow(expected: number): void {
    const words = this.#log.words();
    const isKnown = new Uint8Array(this.#lastSeries + 1);
    const known = this.#places;
    for (let place = 0; place < known.length; place++) isKnown[known[place]! & ID_MASK] = 1;
    this.#places = new Uint32Array(placesFor(expected));
    // In the order of the ids, which is that of the keys in memory.
    for (let series = 1; series < isKnown.length; series++) {
      if (isKnown[series] === 0) continue;
      const start = this.#log.keyStart(series);
      const bytes = this.#log.keyEnd(series) - start;
      this.#put(hashOf(this.#secret, words, start >>> 2, bytes), series);
    }
  }
}

/** How long a table is that so many series do not fill too much. */
function placesFor(series: number): number {
  return 2 ** Math.max(6, Math.ceil(Math.log2((series * 8) / FULL_EIGHTHS)));
}

function placeWord(hash: number, series: number): number {
  return (hash & ~ID_MASK) | series;
}

/** Of a text's last word: what of it belongs to the text. */
function tailMask(bytes: number): number {
  return (1 << ((bytes & 3) * 8)) - 1;
}

/**
 * Of a key's words, and of a secret: whoever chooses label values does not know which of them fall into one place. A
 * product and a shift for each word would be faster, and has differences that meet again whatever the secret is.
 * HalfSipHash-1-3, Aumasson and Bernstein, 2012.
 */
function hashOf(secret: Int32Array, words: Uint32Array, first: number, bytes: number): number {
  const whole = first + (bytes >>> 2);
  const end = whole + 1;
  let v0 = secret[0]!;
  let v1 = secret[1]!;
  let v2 = v0 ^ 0x6c79_6765;
  let v3 = v1 ^ 0x7465_6462;
  for (let i = first; i < end + 3; i++) {
    let word = 0;
    if (i < whole) {
      word = words[i]!;
    } else if (i === whole) {
      word = (words[i]! & tailMask(bytes)) | (bytes << 24);
    } else if (i === end) {
      v2 ^= 0xff;
    }
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return (v1 ^ v3) >>> 0;
}
