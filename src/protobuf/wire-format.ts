// Writes protobuf's wire format as its manual describes it: https://protobuf.dev/programming-guides/encoding/
// For both protocols that push, and for Perfetto's files. A message inside another is opened and closed; its length is
// put in when it is known, and takes as few bytes as it can, or four, whatever it is, so that nothing has to move.

const encoder = new TextEncoder();

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
/** Characters up to which a text is written by hand; their number takes one byte. */
const MAX_PLAIN = 64;
const FIXED32 = 5;
/** Of a length that is padded: such messages are shorter than 2^28 bytes. */
const PADDED_BYTES = 4;
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

export class ProtoWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;
  /** Where the messages that are open begin. */
  readonly #open: number[] = [];

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written; valid until the next call. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /** A whole number from 0 to 2^53, of any integer type whose values are not negative. */
  uint(field: number, value: number): this {
    this.#varint((field << 3) | VARINT);
    this.#varint(value);
    return this;
  }

  /** An unsigned number of 64 bits. */
  uint64(field: number, value: bigint): this {
    this.#varint((field << 3) | VARINT);
    this.#reserve(10);
    let rest = BigInt.asUintN(64, value);
    while (rest > MAX_SAFE) {
      this.#bytes[this.#length++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.#length = putVarint(this.#bytes, this.#length, Number(rest));
    return this;
  }

  /** sint32: zigzag. */
  sint(field: number, value: number): this {
    return this.uint(field, ((value << 1) ^ (value >> 31)) >>> 0);
  }

  double(field: number, value: number): this {
    this.#varint((field << 3) | FIXED64);
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
    return this;
  }

  fixed64(field: number, value: bigint): this {
    this.#varint((field << 3) | FIXED64);
    this.#reserve(8);
    this.#view.setBigUint64(this.#length, value, true);
    this.#length += 8;
    return this;
  }

  string(field: number, text: string): this {
    this.#varint((field << 3) | BYTES);
    this.#reserve(text.length * 3 + 10);
    if (text.length <= MAX_PLAIN && this.#plain(text)) return this;
    // Most lengths take one byte: the text is written behind it, and moved where that was too little.
    const start = this.#length + 1;
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(start));
    const extra = varintBytes(written) - 1;
    if (extra > 0) this.#bytes.copyWithin(start + extra, start, start + written);
    this.#length = putVarint(this.#bytes, this.#length, written) + written;
    return this;
  }

  /** Writes a short text of ASCII, faster than the encoder is called. @returns whether it is one */
  #plain(text: string): boolean {
    const bytes = this.#bytes;
    const start = this.#length + 1;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) return false;
      bytes[start + i] = code;
    }
    bytes[start - 1] = text.length;
    this.#length = start + text.length;
    return true;
  }

  bytesField(field: number, bytes: Uint8Array): this {
    this.#varint((field << 3) | BYTES);
    this.#varint(bytes.length);
    return this.raw(bytes);
  }

  /** Fields that are encoded already. */
  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** A packed repeated field of doubles. */
  packedDoubles(field: number, values: ArrayLike<number>): this {
    this.#varint((field << 3) | BYTES);
    this.#varint(values.length * 8);
    this.#reserve(values.length * 8);
    for (let i = 0; i < values.length; i++) {
      this.#view.setFloat64(this.#length, values[i]!, true);
      this.#length += 8;
    }
    return this;
  }

  /** A packed repeated field of fixed64, of numbers up to 2^53. */
  packedFixed64(field: number, values: ArrayLike<number>): this {
    this.#varint((field << 3) | BYTES);
    this.#varint(values.length * 8);
    this.#reserve(values.length * 8);
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      this.#view.setUint32(this.#length, value % 2 ** 32, true);
      this.#view.setUint32(this.#length + 4, Math.floor(value / 2 ** 32), true);
      this.#length += 8;
    }
    return this;
  }

  /** A packed repeated field of varints. */
  packedVarints(field: number, values: ArrayLike<number>): this {
    this.open(field);
    for (let i = 0; i < values.length; i++) this.#varint(values[i]!);
    return this.close();
  }

  /** A packed repeated field of sint64 up to 2^52 either way: zigzag. */
  packedSints(field: number, values: ArrayLike<number>): this {
    this.open(field);
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      this.#varint(value < 0 ? -2 * value - 1 : 2 * value);
    }
    return this.close();
  }

  /** Begins a message that is a field of the one around it. */
  open(field: number): this {
    this.#varint((field << 3) | BYTES);
    this.#reserve(1);
    this.#length++;
    this.#open.push(this.#length);
    return this;
  }

  close(): this {
    const start = this.#open.pop()!;
    const size = this.#length - start;
    const extra = varintBytes(size) - 1;
    if (extra > 0) {
      this.#reserve(extra);
      this.#bytes.copyWithin(start + extra, start, start + size);
    }
    this.#length = putVarint(this.#bytes, start - 1, size) + size;
    return this;
  }

  /** A message that is a field of the one around it, of what `write` writes; its length is padded. */
  paddedMessage(field: number, write: (writer: this) => void): this {
    this.#varint((field << 3) | BYTES);
    this.#reserve(PADDED_BYTES);
    this.#length += PADDED_BYTES;
    const start = this.#length;
    write(this);
    this.#pad(start);
    return this;
  }

  /** A text whose length is padded. */
  paddedString(field: number, text: string): this {
    this.#varint((field << 3) | BYTES);
    this.#reserve(PADDED_BYTES + text.length * 3);
    const start = this.#length + PADDED_BYTES;
    this.#length = start + encoder.encodeInto(text, this.#bytes.subarray(start)).written;
    this.#pad(start);
    return this;
  }

  /** Puts in the length of what begins at `start`: a varint may be longer than it must. */
  #pad(start: number): void {
    const size = this.#length - start;
    for (let i = 0; i < PADDED_BYTES; i++) {
      const more = i < PADDED_BYTES - 1 ? 128 : 0;
      this.#bytes[start - PADDED_BYTES + i] = ((size >>> (7 * i)) & 127) | more;
    }
  }

  #varint(value: number): void {
    this.#reserve(10);
    this.#length = putVarint(this.#bytes, this.#length, value);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Bytes that a varint takes. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/**
 * Goes through a message's fields.
 * @param visit told each field's number, where its value begins and ends, and where its tag begins
 * @throws RangeError for a message that ends within a field, or has groups
 */
export function eachField(
  bytes: Uint8Array,
  visit: (field: number, start: number, end: number, tagStart: number) => void,
): void {
  let at = 0;
  while (at < bytes.length) {
    const tagStart = at;
    const tag = readVarint(bytes, at);
    at = tag.end;
    let start = at;
    let end: number;
    switch (tag.value % 8) {
      case VARINT:
        end = readVarint(bytes, at).end;
        break;
      case FIXED64:
        end = at + 8;
        break;
      case BYTES: {
        const length = readVarint(bytes, at);
        start = length.end;
        end = start + length.value;
        break;
      }
      case FIXED32:
        end = at + 4;
        break;
      default:
        throw new RangeError(`a field of wire type ${tag.value % 8}`);
    }
    if (end > bytes.length) throw new RangeError("a message that ends within a field");
    visit(Math.floor(tag.value / 8), start, end, tagStart);
    at = end;
  }
}

/** @throws RangeError for one that goes on beyond the end, or beyond 2^53 */
export function readVarint(bytes: Uint8Array, at: number): { value: number; end: number } {
  let value = 0;
  let factor = 1;
  for (let end = at; end < bytes.length && factor <= 2 ** 49; factor *= 128) {
    const byte = bytes[end++]!;
    value += (byte & 127) * factor;
    if (byte < 128) return { value, end };
  }
  throw new RangeError("a varint without an end");
}

/** @returns where the varint ends */
export function putVarint(bytes: Uint8Array | Uint16Array, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest >= 0x8000_0000) {
    bytes[end++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  while (rest >= 128) {
    bytes[end++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  bytes[end++] = rest;
  return end;
}
