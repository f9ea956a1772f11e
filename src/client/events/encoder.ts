// Makes bytes of what callers pass: texts and properties, whatever they are. It writes into memory of its own, so that
// nothing is half stored when a getter throws or records something itself.

import { EVENT_LIMITS, VALUE } from "../../layout/index.ts";
import type { Redaction } from "./redaction.ts";

/** How a key of properties is written. */
export interface Key {
  /** Its number among the definitions; 0 when there was no room. */
  id: number;
  isHidden: boolean;
}

const LIMIT_INTS = EVENT_LIMITS.eventBytes / 4;
/** For what is written before the next look at the limit: keys and numbers. */
const SLACK_INTS = 512;
const KEY_CHARACTERS_MAX = EVENT_LIMITS.definedBytes;

/** Not among Bun's types: `write`, without looking at what its arguments mean. */
export interface Utf8Buffer {
  utf8Write(text: string, offset: number, lengthBytes: number): number;
}

const hasOwn = Object.prototype.hasOwnProperty;
const double = new Float64Array(1);
const halves = new Int32Array(double.buffer);

export class Encoder {
  /** What is encoded so far: so many of the first ints. */
  readonly ints = new Int32Array(LIMIT_INTS + SLACK_INTS);
  length = 0;
  /** Whether something was left out. */
  truncated = false;
  readonly #buffer = Buffer.from(this.ints.buffer) as Buffer & Utf8Buffer;
  readonly #keyOf: (name: string) => Key;
  readonly #redaction: Redaction;
  readonly #within: object[] = [];
  #left = 0;

  constructor(redaction: Redaction, keyOf: (name: string) => Key) {
    this.#redaction = redaction;
    this.#keyOf = keyOf;
  }

  reset(): this {
    this.length = 0;
    this.truncated = false;
    this.#left = EVENT_LIMITS.attributes;
    return this;
  }

  text(text: string): this {
    const { ints } = this;
    const at = this.length;
    const roomBytes = Math.max(0, LIMIT_INTS - at - 2) * 4;
    // At most three bytes for each unit: only what could be too long is looked at.
    if (text.length * 3 <= roomBytes) {
      const bytes = this.#write(text, at + 1, roomBytes);
      ints[at] = VALUE.text | (bytes << 8);
      this.length = at + 1 + ((bytes + 3) >> 2);
      return this;
    }
    const bytes = this.#write(text, at + 2, roomBytes);
    const isCut = Buffer.byteLength(text) > roomBytes;
    ints[at] = (isCut ? VALUE.cutText : VALUE.text) | (bytes << 8);
    this.length = at + 2 + ((bytes + 3) >> 2);
    if (isCut) {
      ints[at + 1] = text.length;
      this.truncated = true;
      return this;
    }
    ints.copyWithin(at + 1, at + 2, this.length);
    this.length--;
    return this;
  }

  /** The eight bytes of a span's id as two numbers, the first byte first. */
  id(high: number, low: number): this {
    this.ints[this.length++] = bytesSwapped(high);
    this.ints[this.length++] = bytesSwapped(low);
    return this;
  }

  /**
   * Properties of the caller, and others of the same event.
   * @param more an error of his message, for one; of a key that both have this is what is read
   */
  properties(properties: unknown, more?: unknown): this {
    const at = this.length++;
    let count = this.#allOf(properties);
    if (more !== undefined) count += this.#allOf(more);
    this.ints[at] = VALUE.object | (count << 8);
    return this;
  }

  /** @returns how many were written */
  #allOf(properties: unknown): number {
    if (typeof properties !== "object" || properties === null) return 0;
    const at = this.length;
    this.#within.push(properties);
    try {
      return this.#entries(properties, 1);
    } catch {
      // Of a proxy that throws nothing is known.
      this.length = at;
      this.truncated = true;
      return 0;
    } finally {
      // Whatever threw below has left its own there. Not by the length alone: to set it takes 20 ns.
      while (this.#within.length > 1) this.#within.pop();
      this.#within.pop();
    }
  }

  // For who reads properties out of a text, without making objects of them (json-line.ts).

  /** Begins properties. @returns where, for {@link Encoder.endProperties} */
  beginProperties(): number {
    return this.length++;
  }

  endProperties(at: number, count: number): void {
    this.ints[at] = VALUE.object | (count << 8);
  }

  /** The next value is an element of a list that was begun as properties are. */
  element(): void {
    this.#left--;
  }

  endElements(at: number, count: number): void {
    this.ints[at] = VALUE.array | (count << 8);
  }

  /** Writes a key. @returns whether its value is to follow; otherwise it is hidden, and was written */
  key(name: string, key: Key): boolean {
    this.#key(name, key);
    if (key.isHidden) this.ints[this.length++] = VALUE.redacted;
    return !key.isHidden;
  }

  /** Writes a text that is UTF-8 already, and short enough. Up to three bytes behind it are read too. */
  utf8(view: DataView, start: number, end: number): void {
    const bytes = end - start;
    const words = (bytes + 3) >> 2;
    if (this.length + 1 + words > LIMIT_INTS) {
      // All of it, to be cut.
      const { buffer, byteOffset } = view;
      this.text(Buffer.from(buffer as ArrayBuffer, byteOffset + start, bytes).toString());
      return;
    }
    const { ints } = this;
    let at = this.length;
    ints[at++] = VALUE.text | (bytes << 8);
    for (let i = 0; i < words; i++) ints[at++] = view.getInt32(start + 4 * i, true);
    if ((bytes & 3) !== 0) ints[at - 1]! &= (1 << (8 * (bytes & 3))) - 1;
    this.length = at;
  }

  number(value: number): void {
    this.#number(value);
  }

  /** @param tag null, false or true */
  literal(tag: number): void {
    this.ints[this.length++] = tag;
  }

  /** Whether there is no room for one more property; then something is left out. */
  isFull(): boolean {
    return this.#isFull();
  }

  /** The text of a property, without what is secret of an address. */
  textValue(text: string): void {
    this.text(this.#redaction.withoutSecrets(text));
  }

  #write(text: string, at: number, roomBytes: number): number {
    const bytes = this.#buffer.utf8Write(text, at * 4, roomBytes);
    const over = bytes & 3;
    // What was there before is behind its end.
    if (over !== 0) this.ints[at + (bytes >> 2)]! &= (1 << (8 * over)) - 1;
    return bytes;
  }

  /** Whether there is no room for one more property or element; then something is left out. */
  #isFull(): boolean {
    if (this.#left > 0 && this.length + 16 <= LIMIT_INTS) return false;
    this.truncated = true;
    return true;
  }

  #key(name: string, { id }: Key): void {
    this.#left--;
    if (id > 0) this.ints[this.length++] = VALUE.defined | (id << 8);
    else this.text(name.length > KEY_CHARACTERS_MAX ? name.slice(0, KEY_CHARACTERS_MAX) : name);
  }

  /** @returns how many were written */
  #entries(object: object, depth: number): number {
    let count = 0;
    const { hook } = this.#redaction;
    for (const name in object) {
      if (!hasOwn.call(object, name)) continue;
      if (this.#isFull()) break;
      const key = this.#keyOf(name);
      if (key.isHidden) {
        this.#key(name, key);
        this.ints[this.length++] = VALUE.redacted;
        count++;
        continue;
      }
      let value: unknown;
      try {
        // Read here, because engines know in this loop where it is.
        value = (object as Record<string, unknown>)[name];
      } catch {
        this.#key(name, key);
        this.ints[this.length++] = VALUE.threw;
        count++;
        continue;
      }
      if (value === undefined) continue;
      this.#key(name, key);
      if (hook !== undefined) this.#value(name, value, depth);
      else if (typeof value === "string") this.textValue(value);
      else if (typeof value === "number") this.#number(value);
      else this.#value(name, value, depth);
      count++;
    }
    return count;
  }

  /** @returns whether it was written */
  #property(object: object, name: string, depth: number): boolean {
    const key = this.#keyOf(name);
    if (key.isHidden) {
      this.#key(name, key);
      this.ints[this.length++] = VALUE.redacted;
      return true;
    }
    let value: unknown;
    try {
      value = (object as Record<string, unknown>)[name];
    } catch {
      this.#key(name, key);
      this.ints[this.length++] = VALUE.threw;
      return true;
    }
    if (value === undefined) return false;
    this.#key(name, key);
    this.#value(name, value, depth);
    return true;
  }

  /** Writes a value whatever it does when it is looked at. */
  #value(name: string, given: unknown, depth: number): void {
    const at = this.length;
    const within = this.#within.length;
    let value = given;
    const { hook } = this.#redaction;
    if (hook !== undefined) {
      try {
        value = hook(name, given);
      } catch {
        this.ints[this.length++] = VALUE.redacted;
        return;
      }
    }
    try {
      this.#encode(name, value, depth);
    } catch {
      this.length = at;
      this.#within.length = within;
      this.ints[this.length++] = VALUE.threw;
    }
  }

  #encode(name: string, value: unknown, depth: number): void {
    const { ints } = this;
    switch (typeof value) {
      case "string":
        this.textValue(value);
        return;
      case "number":
        this.#number(value);
        return;
      case "boolean":
        ints[this.length++] = value ? VALUE.true : VALUE.false;
        return;
      case "bigint":
      case "symbol":
        this.text(String(value));
        return;
      case "function":
        this.text(`[function ${String(value.name)}]`);
        return;
      case "undefined":
        ints[this.length++] = VALUE.null;
        return;
    }
    if (value === null) ints[this.length++] = VALUE.null;
    else this.#object(name, value as object, depth);
  }

  #number(value: number): void {
    const { ints } = this;
    const at = this.length;
    const whole = value | 0;
    if (whole === value && (whole !== 0 || 1 / value > 0)) {
      ints[at] = VALUE.integer;
      ints[at + 1] = whole;
      this.length = at + 2;
      return;
    }
    double[0] = value;
    ints[at] = VALUE.number;
    ints[at + 1] = halves[0]!;
    ints[at + 2] = halves[1]!;
    this.length = at + 3;
  }

  #object(name: string, object: object, depth: number): void {
    if (object instanceof Date) {
      const ms = object.getTime();
      this.text(Number.isNaN(ms) ? "Invalid Date" : new Date(ms).toISOString());
      return;
    }
    if (ArrayBuffer.isView(object) || object instanceof ArrayBuffer) {
      this.text(`[${object.byteLength} bytes]`);
      return;
    }
    if (this.#within.includes(object)) {
      this.ints[this.length++] = VALUE.circular;
      return;
    }
    if (depth > EVENT_LIMITS.depth) {
      this.ints[this.length++] = VALUE.tooDeep;
      this.truncated = true;
      return;
    }
    this.#within.push(object);
    this.#contents(name, object, depth);
    this.#within.pop();
  }

  #contents(name: string, object: object, depth: number): void {
    if (Array.isArray(object)) return this.#elements(name, object, object.length, depth);
    if (object instanceof Set) return this.#elements(name, object, object.size, depth);
    if (object instanceof Error) return this.#error(object, depth);
    if (object instanceof Map) return this.#map(object, depth);
    const { toJSON } = object as { toJSON?: unknown };
    if (typeof toJSON === "function") {
      const json: unknown = toJSON.call(object, name);
      // Another object is one level deeper: an endless row of them ends too.
      if (json !== object) return this.#encode(name, json, depth + 1);
    }
    const at = this.length++;
    const count = this.#entries(object, depth + 1);
    this.ints[at] = VALUE.object | (count << 8);
  }

  #elements(name: string, elements: Iterable<unknown>, length: number, depth: number): void {
    const at = this.length++;
    let count = 0;
    let before: unknown;
    for (const element of elements) {
      if (this.#isFull()) break;
      this.#left--;
      if (this.#redaction.hidesElement(name, length, count, before))
        this.ints[this.length++] = VALUE.redacted;
      else this.#value(name, element, depth + 1);
      before = element;
      count++;
    }
    this.ints[at] = VALUE.array | (count << 8);
  }

  #map(map: Map<unknown, unknown>, depth: number): void {
    const at = this.length++;
    let count = 0;
    for (const [key, value] of map) {
      if (this.#isFull()) break;
      const name = String(key);
      const known = this.#keyOf(name);
      this.#key(name, known);
      if (known.isHidden) this.ints[this.length++] = VALUE.redacted;
      else this.#value(name, value, depth + 1);
      count++;
    }
    this.ints[at] = VALUE.object | (count << 8);
  }

  /** What an error says that no enumeration shows, then what its maker has added. */
  #error(error: Error, depth: number): void {
    const at = this.length++;
    let count = 0;
    const others = Object.keys(error).filter((name) => !ERROR_NAMES.includes(name));
    for (const name of [...ERROR_NAMES, ...others]) {
      if (this.#isFull()) break;
      if (this.#property(error, name, depth + 1)) count++;
    }
    this.ints[at] = VALUE.object | (count << 8);
  }
}

function bytesSwapped(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | ((word >>> 24) & 0xff);
}

const ERROR_NAMES: readonly string[] = ["name", "message", "stack", "cause", "errors"];
