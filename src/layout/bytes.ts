// Reading and writing of little-endian records, so that the formats read like their specification.
// The reader never trusts a length: every access is checked against the end of its view.

/** What is wrong with a byte, and where. */
export class DamageError extends Error {
  override readonly name: string = "DamageError";
  /** @param offset byte offset of the damage in the buffer that was being read */
  constructor(
    message: string,
    readonly offset: number,
  ) {
    super(message);
  }
}

/** It is sound, and made by a version that this one does not know. */
export class UnknownFormatError extends DamageError {
  override readonly name = "UnknownFormatError";
}

const encoder = new TextEncoder();
// A byte order mark is a character like any other: a text without it would be another text.
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00;
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000;

/** Length of a string in bytes of UTF-8. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    bytes += unit >= 0x800 ? 2 : 1;
    // Two halves of a character have four bytes between them; one alone is written as U+FFFD, three.
    if (isHigh(unit) && isLow(text.charCodeAt(i + 1))) bytes -= 2;
  }
  return bytes;
}

/** The longest beginning of a text that has so many bytes of UTF-8 at most. */
export function cutTo(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes || utf8Bytes(text) <= maxBytes) return text;
  const { read } = encoder.encodeInto(text, new Uint8Array(maxBytes));
  return text.slice(0, read);
}

/** Appends fields to a growing buffer; calls chain, in the order of the format. */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  length = 0;

  constructor(initialBytes = 256) {
    this.#bytes = new Uint8Array(initialBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: number): this {
    this.#room(1);
    this.#bytes[this.length] = value;
    this.length += 1;
    return this;
  }

  u16(value: number): this {
    this.#room(2);
    this.#view.setUint16(this.length, value, true);
    this.length += 2;
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
    return this;
  }

  f64(value: number): this {
    this.#room(8);
    this.#view.setFloat64(this.length, value, true);
    this.length += 8;
    return this;
  }

  /** An integer up to 2⁵³ as u64. */
  u64(value: number): this {
    return this.u32(value % 0x1_0000_0000).u32(Math.floor(value / 0x1_0000_0000));
  }

  /** u16 length in bytes, then UTF-8. */
  text(value: string): this {
    this.#room(2 + value.length * 3);
    const { written } = encoder.encodeInto(value, this.#bytes.subarray(this.length + 2));
    if (written > 0xffff) throw new RangeError(`a text of ${written} bytes does not fit a record`);
    this.#view.setUint16(this.length, written, true);
    this.length += 2 + written;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  /** Zero bytes up to the next multiple of `alignment`. */
  align(alignment: number): this {
    while (this.length % alignment !== 0) this.u8(0);
    return this;
  }

  u16At(offset: number, value: number): this {
    this.#view.setUint16(offset, value, true);
    return this;
  }

  u32At(offset: number, value: number): this {
    this.#view.setUint32(offset, value, true);
    return this;
  }

  reset(): this {
    this.length = 0;
    return this;
  }

  /** The bytes written so far; valid until the next write. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    let capacity = this.#bytes.length * 2;
    while (capacity < this.length + more) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Reads fields in order; throws {@link DamageError} at the first that does not fit. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  position: number;
  #end: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.#end = Math.min(end, bytes.length);
  }

  /** Turns the same reader to another part of its buffer. */
  seek(start: number, end: number): this {
    this.position = start;
    this.#end = Math.min(end, this.#bytes.length);
    return this;
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#end - this.position;
  }

  /** A copy of so many bytes. */
  raw(bytes: number): Uint8Array {
    this.#need(bytes);
    const start = this.position;
    this.position += bytes;
    return this.#bytes.slice(start, this.position);
  }

  u8(): number {
    this.#need(1);
    return this.#bytes[this.position++]!;
  }

  u16(): number {
    this.#need(2);
    const value = this.#view.getUint16(this.position, true);
    this.position += 2;
    return value;
  }

  u32(): number {
    this.#need(4);
    const value = this.#view.getUint32(this.position, true);
    this.position += 4;
    return value;
  }

  f64(): number {
    this.#need(8);
    const value = this.#view.getFloat64(this.position, true);
    this.position += 8;
    return value;
  }

  /** A u64 that has to be an exact integer of JavaScript. */
  u64(): number {
    const start = this.position;
    const low = this.u32();
    const high = this.u32();
    if (high > 0x1f_ffff) throw new DamageError("an integer above 2^53", start);
    return high * 0x1_0000_0000 + low;
  }

  text(maxBytes: number): string {
    const start = this.position;
    const length = this.u16();
    if (length > maxBytes) {
      throw new DamageError(`a text of ${length} bytes where ${maxBytes} are allowed`, start);
    }
    this.#need(length);
    this.position += length;
    return this.#decode(start);
  }

  /** Steps over a text, decoding it only where that is needed to know that it can be; gives its length in bytes. */
  skipText(maxBytes: number): number {
    const start = this.position;
    const length = this.u16();
    if (length > maxBytes) {
      throw new DamageError(`a text of ${length} bytes where ${maxBytes} are allowed`, start);
    }
    this.#need(length);
    this.position += length;
    for (let i = start + 2; i < this.position; i++) {
      if (this.#bytes[i]! < 0x80) continue;
      this.#decode(start);
      break;
    }
    return length;
  }

  /** The text whose length stands at `start` and which ends at the position. */
  #decode(start: number): string {
    try {
      return strictDecoder.decode(this.#bytes.subarray(start + 2, this.position));
    } catch {
      throw new DamageError("a text that is not UTF-8", start);
    }
  }

  #need(bytes: number): void {
    if (this.position + bytes > this.#end) {
      throw new DamageError(
        `${bytes} bytes needed where ${this.#end - this.position} are left`,
        this.position,
      );
    }
  }
}

/** Eight hex digits of 32 bits, as ids of spans and traces are made of. */
export function hex8(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
