// Texts as DuckDB's vectors refer to them: sixteen bytes each, which hold a short text, or say where a longer one lies.
// A column of texts is then copied like one of numbers. Used to append many texts, by src/lake/views.

import { ptr } from "bun:ffi";

/** Bytes of a reference: u32 length, then twelve bytes of text, or its first four and a u64 address. */
export const TEXT_REFERENCE_BYTES = 16;
const INLINE_BYTES = 12;
const WORDS = TEXT_REFERENCE_BYTES / 4;
const PART_BYTES = 1 << 20;
/** Of UTF-8 for a unit of UTF-16. */
const BYTES_PER_UNIT = 3;
const FIRST_TEXTS = 1024;
/** Memory of this size lies outside the heap of JavaScript's objects. */
const FIXED_BYTES = 4096;

/** Memory that does not move. */
function fixedMemory(bytes: number): ArrayBuffer {
  return new ArrayBuffer(Math.max(bytes, FIXED_BYTES));
}

/** Texts by number. They stay where they are until `clear`; copied references must have been used by then. */
export class TextHeap {
  /** Four words each; another array after `add` had to make room. */
  references = new Uint32Array(fixedMemory(FIRST_TEXTS * TEXT_REFERENCE_BYTES));
  #bytes = new Uint8Array(this.references.buffer);
  #count = 0;
  readonly #parts: Buffer[] = [];
  #part!: Buffer;
  #address = 0;
  #at = 0;

  /** Where memory lies that holds texts of one's own, for references made by hand. Keep it until they were used. */
  static addressOf(memory: Uint32Array<ArrayBuffer>): number {
    if (memory.byteLength < FIXED_BYTES) throw new RangeError("memory that may move");
    return ptr(memory);
  }

  constructor() {
    this.#newPart(PART_BYTES);
    // Number 0 is the empty text.
    this.add("");
  }

  /** @returns its number */
  add(text: string): number {
    const number = this.#count++;
    if (number * WORDS >= this.references.length) this.#grow();
    if (text.length === 0) return number;
    const need = text.length * BYTES_PER_UNIT;
    if (this.#at + need > this.#part.length) this.#newPart(Math.max(need, PART_BYTES));
    const part = this.#part;
    const at = this.#at;
    const length = part.write(text, at, "utf8");
    const word = number * WORDS;
    this.references[word] = length;
    if (length <= INLINE_BYTES) {
      const to = number * TEXT_REFERENCE_BYTES + 4;
      for (let i = 0; i < length; i++) this.#bytes[to + i] = part[at + i]!;
      return number;
    }
    this.#at = at + length;
    const address = this.#address + at;
    this.references[word + 1] = part.readUInt32LE(at);
    this.references[word + 2] = address >>> 0;
    this.references[word + 3] = Math.floor(address / 2 ** 32);
    return number;
  }

  /** Bytes of UTF-8 of a text. */
  sizeOf(number: number): number {
    return this.references[number * WORDS]!;
  }

  /** Forgets all but the empty text, and keeps some memory. */
  clear(): void {
    this.references.fill(0, 0, this.#count * WORDS);
    this.#count = 1;
    this.#parts.length = 1;
    this.#usePart(this.#parts[0]!);
  }

  #newPart(bytes: number): void {
    const part = Buffer.from(fixedMemory(bytes));
    this.#parts.push(part);
    this.#usePart(part);
  }

  #usePart(part: Buffer): void {
    this.#part = part;
    this.#address = ptr(part);
    this.#at = 0;
  }

  #grow(): void {
    const grown = new Uint32Array(fixedMemory(this.references.byteLength * 2));
    grown.set(this.references);
    this.references = grown;
    this.#bytes = new Uint8Array(grown.buffer);
  }
}
