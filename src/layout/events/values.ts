// Reads what a record holds behind its fixed words: texts, names and properties. Nothing of it is trusted.

import { DamageError } from "../bytes.ts";
import { EVENT_LIMITS, SKIPPABLE_EVENTS, VALUE } from "./constants.ts";

/** What a property is when it is read: what was left out is named in brackets. */
export type EventValue =
  | string
  | number
  | boolean
  | null
  | readonly EventValue[]
  | { readonly [key: string]: EventValue };

export type EventProperties = Readonly<Record<string, EventValue>>;

const INSTEAD: Readonly<Record<number, string>> = {
  [VALUE.redacted]: "[redacted]",
  [VALUE.circular]: "[circular]",
  [VALUE.tooDeep]: "[too deep]",
  [VALUE.threw]: "[threw]",
};
/** What is read of a value whose tag this version does not know, and that it may leave out. */
export const UNKNOWN_VALUE = "[unknown]";
/** Keys, values and names of a record. */
const VALUES_MAX = 2 * EVENT_LIMITS.attributes + 4;
/** What the writer nests at most, and some for its own. */
const DEPTH_MAX = EVENT_LIMITS.depth + 4;

// What was cut in the middle of a character would not have been written; what others forged is shown as it may be.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export class ValueReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #defined: (id: number) => string | undefined;
  #at: number;
  #end: number;
  /** Values that may still be read: what is forged does not make a record of many small ones. */
  #left = 0;

  /** @param defined gives the text of a definition */
  constructor(bytes: Uint8Array, defined: (id: number) => string | undefined) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#defined = defined;
    this.#at = 0;
    this.#end = bytes.length;
  }

  /** Turns it to a part of its bytes. */
  seek(start: number, end: number): this {
    this.#at = start;
    this.#end = end;
    this.#left = VALUES_MAX;
    return this;
  }

  /** Where it has come to. */
  get position(): number {
    return this.#at;
  }

  /** @throws DamageError where there is no text */
  text(): string {
    const start = this.#at;
    const value = this.#value(DEPTH_MAX);
    if (typeof value !== "string") throw new DamageError("no text where one has to be", start);
    return value;
  }

  /** @throws DamageError where there are no properties */
  properties(): EventProperties {
    const start = this.#at;
    const value = this.#value(0);
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new DamageError("no properties where some have to be", start);
    return value as EventProperties;
  }

  #value(depth: number): EventValue {
    const start = this.#at;
    if (--this.#left < 0) throw new DamageError("more values than an event may have", start);
    const word = this.#u32();
    const count = word >>> 8;
    switch (word & 0xff) {
      case VALUE.null:
        return null;
      case VALUE.false:
        return false;
      case VALUE.true:
        return true;
      case VALUE.number: {
        this.#need(8);
        const value = this.#view.getFloat64(this.#at, true);
        this.#at += 8;
        return value;
      }
      case VALUE.integer:
        return this.#u32() | 0;
      case VALUE.text:
        return this.#characters(count);
      case VALUE.cutText: {
        const units = this.#u32();
        return `${this.#characters(count)}… (${units} characters)`;
      }
      case VALUE.defined:
        return this.#defined(count) ?? `[definition ${count}]`;
      case VALUE.array:
        return this.#array(count, depth, start);
      case VALUE.object:
        return this.#object(count, depth, start);
    }
    if ((word & 0xff) >= SKIPPABLE_EVENTS) {
      this.#characters(count);
      return UNKNOWN_VALUE;
    }
    const instead = INSTEAD[word & 0xff];
    if (instead === undefined) throw new DamageError(`no value has the tag ${word & 0xff}`, start);
    return instead;
  }

  #array(count: number, depth: number, start: number): EventValue[] {
    this.#deeper(depth, count, start);
    const values: EventValue[] = [];
    for (let i = 0; i < count; i++) values.push(this.#value(depth + 1));
    return values;
  }

  #object(count: number, depth: number, start: number): EventValue {
    this.#deeper(depth, count, start);
    const entries: [string, EventValue][] = [];
    for (let i = 0; i < count; i++) {
      const key = this.#value(DEPTH_MAX);
      if (typeof key !== "string") throw new DamageError("a key that is no text", start);
      entries.push([key, this.#value(depth + 1)]);
    }
    // Not by assignment: "__proto__" is a key like any other.
    return Object.fromEntries(entries);
  }

  #deeper(depth: number, count: number, start: number): void {
    if (depth >= DEPTH_MAX) throw new DamageError("values that lie too deep", start);
    if (count * 4 > this.#end - this.#at)
      throw new DamageError(`${count} values where there is no room for them`, start);
  }

  #characters(bytes: number): string {
    this.#need(bytes);
    const text = decoder.decode(this.#bytes.subarray(this.#at, this.#at + bytes));
    this.#at = Math.min(this.#end, this.#at + Math.ceil(bytes / 4) * 4);
    return text;
  }

  #u32(): number {
    this.#need(4);
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  #need(bytes: number): void {
    if (this.#at + bytes > this.#end)
      throw new DamageError(
        `${bytes} bytes needed where ${this.#end - this.#at} are left`,
        this.#at,
      );
  }
}
