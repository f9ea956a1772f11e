// Properties of events, JSON objects, as entries of a map: keys and values are texts, numbers as they were written, and
// what is nested is JSON. Read by hand, because JSON.parse would round long numbers and make objects nobody needs.

import { TEXT_REFERENCE_BYTES, type TextHeap } from "../../duckdb/index.ts";

/** The key of what is no JSON object; nothing of it is lost. */
const UNPARSED = "microview.unparsed";
const FEW = 32;
/** A longer text is not taken apart: what records events makes none. */
const UNITS_MAX = 1 << 20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];
const [COMMA, COLON] = [0x2c, 0x3a];

/** Maps by number, each some entries of keys and values in a heap of texts. */
export class PropertyTexts {
  readonly #heap: TextHeap;
  #keys = new Uint32Array(256);
  #values = new Uint32Array(256);
  #entries = 0;
  #firsts = new Uint32Array(256);
  #maps = 0;
  readonly #known = new Map<string, number>();

  constructor(heap: TextHeap) {
    this.#heap = heap;
    // Number 0 is the empty map.
    this.add("");
  }

  /** Of each entry, the number of its key in the heap. */
  get keys(): Uint32Array {
    return this.#keys;
  }

  get values(): Uint32Array {
    return this.#values;
  }

  /** Where the entries of each map begin; the next one's begin is where they end. */
  get firsts(): Uint32Array {
    return this.#firsts;
  }

  /**
   * @param text a JSON object, or "" for none
   * @returns its number
   */
  add(text: string): number {
    const number = this.#maps++;
    if (number + 1 >= this.#firsts.length) this.#firsts = twice(this.#firsts);
    const first = this.#entries;
    if (text !== "" && (text.length > UNITS_MAX || !this.#parse(text, first))) {
      this.#entries = first;
      this.#push(first, UNPARSED, text);
    }
    this.#firsts[number + 1] = this.#entries;
    return number;
  }

  /** Bytes that a map takes in a column. */
  sizeOf(number: number): number {
    const [first, end] = [this.#firsts[number]!, this.#firsts[number + 1]!];
    let bytes = (end - first) * 2 * TEXT_REFERENCE_BYTES;
    for (let i = first; i < end; i++) {
      bytes += this.#heap.sizeOf(this.#keys[i]!) + this.#heap.sizeOf(this.#values[i]!);
    }
    return bytes;
  }

  #parse(text: string, first: number): boolean {
    let at = skipSpace(text, 0);
    if (text.charCodeAt(at++) !== OPEN_BRACE) return false;
    at = skipSpace(text, at);
    if (text.charCodeAt(at) === CLOSE_BRACE) return skipSpace(text, at + 1) === text.length;
    for (;;) {
      const keyEnd = endOfString(text, at);
      if (keyEnd === 0) return false;
      const key = stringOf(text, at, keyEnd);
      at = skipSpace(text, keyEnd);
      if (key === undefined || text.charCodeAt(at++) !== COLON) return false;
      at = skipSpace(text, at);
      const end = endOfValue(text, at);
      if (end <= at) return false;
      const isString = text.charCodeAt(at) === QUOTE;
      const value = isString ? stringOf(text, at, end) : text.slice(at, end);
      if (value === undefined) return false;
      this.#push(first, key, value);
      at = skipSpace(text, end);
      const next = text.charCodeAt(at++);
      if (next === CLOSE_BRACE) return skipSpace(text, at) === text.length;
      if (next !== COMMA) return false;
      at = skipSpace(text, at);
    }
  }

  /** A key comes once; what is said of it last holds. */
  #push(first: number, key: string, value: string): void {
    const number = this.#keyNumber(key);
    const valueNumber = this.#heap.add(value);
    const at = this.#find(first, number);
    if (at === this.#entries) {
      if (at === this.#keys.length) {
        this.#keys = twice(this.#keys);
        this.#values = twice(this.#values);
      }
      this.#keys[at] = number;
      this.#entries++;
    }
    this.#values[at] = valueNumber;
  }

  #keyNumber(key: string): number {
    let number = this.#known.get(key);
    if (number === undefined) {
      number = this.#heap.add(key);
      this.#known.set(key, number);
    }
    return number;
  }

  /** Entries of the map that is being read, by key, once there are many. */
  readonly #many = new Map<number, number>();
  #manyOf = -1;

  #find(first: number, key: number): number {
    const end = this.#entries;
    if (end - first < FEW) {
      for (let i = first; i < end; i++) if (this.#keys[i] === key) return i;
      return end;
    }
    if (this.#manyOf !== first || end - first === FEW) {
      this.#manyOf = first;
      this.#many.clear();
      for (let i = first; i < end; i++) this.#many.set(this.#keys[i]!, i);
    }
    const at = this.#many.get(key) ?? end;
    this.#many.set(key, at);
    return at;
  }
}

function twice(array: Uint32Array): Uint32Array<ArrayBuffer> {
  const grown = new Uint32Array(array.length * 2);
  grown.set(array);
  return grown;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) break;
  }
  return at;
}

/** @returns behind the closing quote; 0 when there is no string */
function endOfString(text: string, from: number): number {
  if (text.charCodeAt(from) !== QUOTE) return 0;
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    if (code === BACKSLASH) at++;
  }
  return 0;
}

function stringOf(text: string, from: number, end: number): string | undefined {
  const inside = text.slice(from + 1, end - 1);
  if (!inside.includes("\\")) return inside;
  try {
    return JSON.parse(text.slice(from, end)) as string;
  } catch {
    return undefined;
  }
}

/** @returns behind the value; `from` when there is none */
function endOfValue(text: string, from: number): number {
  const code = text.charCodeAt(from);
  if (code === QUOTE) return endOfString(text, from);
  let depth = 0;
  let at = from;
  for (; at < text.length; at++) {
    const each = text.charCodeAt(at);
    if (each === QUOTE) {
      if (depth === 0) return from;
      const end = endOfString(text, at);
      if (end === 0) return from;
      at = end - 1;
    } else if (each === OPEN_BRACE || each === OPEN_BRACKET) {
      if (depth === 0 && at !== from) return from;
      depth++;
    } else if (each === CLOSE_BRACE || each === CLOSE_BRACKET) {
      if (depth === 0) break;
      depth--;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (each === COMMA || each <= 0x20)) break;
  }
  return depth === 0 ? at : from;
}
