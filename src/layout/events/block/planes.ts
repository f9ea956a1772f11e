// Columns as bytes: numbers are stored as their differences where that makes them small, and the bytes of a column that
// have the same place value lie together, because then zstd finds the ones that hardly change.

import { DamageError, utf8Bytes } from "../../bytes.ts";

/** A column's first byte: how many planes of bytes follow, and whether signs are folded into the lowest bit. */
const PLANES = 0x0f;
const ZIGZAG = 0x10;

const TWO_32 = 0x1_0000_0000;

/** What a section begins with: u32 kind, u32 bytes. */
const SECTION_HEAD_BYTES = 8;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Texts of a column, one after the other. */
export class TextList {
  count = 0;
  lengthBytes = 0;
  lengths = new Uint32Array(64);
  bytes = new Uint8Array(1024);

  reset(): this {
    this.count = 0;
    this.lengthBytes = 0;
    return this;
  }

  add(text: string): void {
    this.#room(text.length * 3);
    const { written } = encoder.encodeInto(text, this.bytes.subarray(this.lengthBytes));
    this.#push(written);
  }

  /** A part of some bytes that are UTF-8. */
  addBytes(from: Uint8Array, start: number, end: number): void {
    this.#room(end - start);
    const { bytes } = this;
    let at = this.lengthBytes;
    // A subarray and `set` cost more than the few bytes of most texts.
    if (end - start > 64) bytes.set(from.subarray(start, end), at);
    else for (let i = start; i < end; i++) bytes[at++] = from[i]!;
    this.#push(end - start);
  }

  #push(length: number): void {
    if (this.count === this.lengths.length) {
      const grown = new Uint32Array(this.count * 2);
      grown.set(this.lengths);
      this.lengths = grown;
    }
    this.lengths[this.count++] = length;
    this.lengthBytes += length;
  }

  #room(more: number): void {
    if (this.lengthBytes + more <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.lengthBytes + more));
    grown.set(this.bytes.subarray(0, this.lengthBytes));
    this.bytes = grown;
  }
}

/** Appends columns to a payload that is going to be packed. */
export class ColumnWriter {
  #bytes = new Uint8Array(1 << 16);
  #low = new Uint32Array(1024);
  #high = new Uint32Array(1024);
  length = 0;

  reset(): this {
    this.length = 0;
    return this;
  }

  /** What was written; valid until the next write. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** Begins a section: what it is, its bytes, and how many rows it has. @returns where, for {@link endSection} */
  section(kind: number, rows: number): number {
    const at = this.length;
    this.u32(kind);
    this.u32(0);
    this.u32(rows);
    return at;
  }

  endSection(at: number): void {
    const bytes = this.length - at - SECTION_HEAD_BYTES;
    for (let i = 0; i < 4; i++) this.#bytes[at + 4 + i] = bytes >>> (8 * i);
  }

  u8(value: number): void {
    this.#room(1);
    this.#bytes[this.length++] = value;
  }

  u32(value: number): void {
    this.#room(4);
    for (let i = 0; i < 4; i++) this.#bytes[this.length++] = value >>> (8 * i);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** A byte for each row, whatever they are. */
  octets(values: Uint8Array, rows: number): void {
    this.#room(rows);
    this.#bytes.set(values.subarray(0, rows), this.length);
    this.length += rows;
  }

  /** Numbers below 2³² as they are. */
  uints(values: Uint32Array | Uint16Array | Uint8Array, rows: number): void {
    let all = 0;
    for (let i = 0; i < rows; i++) all |= values[i]!;
    const planes = planesOf(all);
    this.u8(planes);
    this.#planes(values, rows, planes);
  }

  /** Doubles, bit by bit. */
  doubles(values: Float64Array, rows: number): void {
    const pairs = new Uint32Array(values.buffer, values.byteOffset, rows * 2);
    const { low, high } = this.#scratch(rows);
    for (let i = 0; i < rows; i++) {
      low[i] = pairs[2 * i]!;
      high[i] = pairs[2 * i + 1]!;
    }
    this.#longs(rows, 0);
  }

  /** Whole numbers below 2⁵², signs allowed, as they are. */
  numbers(values: Float64Array, rows: number): void {
    this.#signed(values, rows, false);
  }

  /**
   * Whole numbers as differences from the row before.
   * @param offset what is added to all of them
   */
  deltas(values: Float64Array, rows: number, offset: bigint): void {
    if (rows === 0) return;
    this.#base(offset + BigInt(values[0]!));
    this.#signed(values, rows, true);
  }

  /** As {@link deltas}, for any 64 bits. */
  bigDeltas(values: BigInt64Array | BigUint64Array): void {
    const { low, high } = halvesOf(values);
    this.pairDeltas(low, high, values.length);
  }

  /** As {@link bigDeltas}, of halves. */
  pairDeltas(low: Uint32Array, high: Uint32Array, rows: number): void {
    if (rows === 0) return;
    this.u32(low[0]!);
    this.u32(high[0]!);
    const { low: smallLow, high: smallHigh } = this.#scratch(rows);
    for (let i = rows - 1; i > 0; i--) {
      const borrow = low[i]! < low[i - 1]! ? 1 : 0;
      smallLow[i] = low[i]! - low[i - 1]!;
      smallHigh[i] = high[i]! - high[i - 1]! - borrow;
    }
    smallLow[0] = 0;
    smallHigh[0] = 0;
    this.#zigzag(rows);
  }

  /** As {@link numbers}, for any 64 bits. */
  bigs(values: BigInt64Array): void {
    const rows = values.length;
    const halves = halvesOf(values);
    const { low, high } = this.#scratch(rows);
    low.set(halves.low);
    high.set(halves.high);
    this.#zigzag(rows);
  }

  texts(list: TextList): void {
    this.u32(list.count);
    this.uints(list.lengths, list.count);
    this.u32(list.lengthBytes);
    this.raw(list.bytes.subarray(0, list.lengthBytes));
  }

  #base(value: bigint): void {
    const base = BigInt.asUintN(64, value);
    this.u32(Number(base & 0xffff_ffffn));
    this.u32(Number(base >> 32n));
  }

  #signed(values: Float64Array, rows: number, isDelta: boolean): void {
    const greatest = this.#smalls(values, rows, isDelta, false);
    // Nearly always there are no signs, and none that takes more than four bytes.
    const isSigned = greatest < 0;
    const size = isSigned ? this.#smalls(values, rows, isDelta, true) : greatest;
    if (size < TWO_32) {
      const planes = planesOf(size);
      this.u8((isSigned ? ZIGZAG : 0) | planes);
      this.#planes(this.#low, rows, planes);
    } else this.#longs(rows, isSigned ? ZIGZAG : 0);
  }

  /** Fills the scratch arrays; the upper one where it is needed. @returns the greatest, or −1 when signs are to be folded in */
  #smalls(values: Float64Array, rows: number, isDelta: boolean, isSigned: boolean): number {
    const { low, high } = this.#scratch(rows);
    let greatest = 0;
    let before = isDelta ? values[0]! : 0;
    for (let i = 0; i < rows; i++) {
      const value = values[i]!;
      let small = value - before;
      if (isDelta) before = value;
      if (isSigned) small = small < 0 ? -2 * small - 1 : 2 * small;
      else if (small < 0) return -1;
      if (small > greatest) greatest = small;
      low[i] = small;
    }
    if (greatest < TWO_32) return greatest;
    before = isDelta ? values[0]! : 0;
    for (let i = 0; i < rows; i++) {
      const value = values[i]!;
      let small = value - before;
      if (isDelta) before = value;
      if (isSigned) small = small < 0 ? -2 * small - 1 : 2 * small;
      high[i] = small / TWO_32;
    }
    return greatest;
  }

  /** What the scratch arrays hold, signs folded in if there are any. */
  #zigzag(rows: number): void {
    const low = this.#low;
    const high = this.#high;
    let signs = 0;
    for (let i = 0; i < rows; i++) signs |= high[i]!;
    if (signs >= 0) return this.#longs(rows, 0);
    for (let i = 0; i < rows; i++) {
      const a = low[i]!;
      const b = high[i]!;
      const sign = (b | 0) >> 31;
      low[i] = (a << 1) ^ sign;
      high[i] = ((b << 1) | (a >>> 31)) ^ sign;
    }
    this.#longs(rows, ZIGZAG);
  }

  /** What the scratch arrays hold. */
  #longs(rows: number, flags: number): void {
    const low = this.#low;
    const high = this.#high;
    let allLow = 0;
    let allHigh = 0;
    for (let i = 0; i < rows; i++) {
      allLow |= low[i]!;
      allHigh |= high[i]!;
    }
    const highPlanes = planesOf(allHigh);
    const lowPlanes = highPlanes > 0 ? 4 : planesOf(allLow);
    this.u8(flags | (lowPlanes + highPlanes));
    this.#planes(low, rows, lowPlanes);
    this.#planes(high, rows, highPlanes);
  }

  #planes(values: Uint32Array | Uint16Array | Uint8Array, rows: number, planes: number): void {
    this.#room(rows * planes);
    const bytes = this.#bytes;
    const at = this.length;
    this.length = at + rows * planes;
    const second = at + rows;
    const third = second + rows;
    const fourth = third + rows;
    // All planes in one go over the values.
    switch (planes) {
      case 1:
        for (let i = 0; i < rows; i++) bytes[at + i] = values[i]!;
        return;
      case 2:
        for (let i = 0; i < rows; i++) {
          const value = values[i]!;
          bytes[at + i] = value;
          bytes[second + i] = value >>> 8;
        }
        return;
      case 3:
        for (let i = 0; i < rows; i++) {
          const value = values[i]!;
          bytes[at + i] = value;
          bytes[second + i] = value >>> 8;
          bytes[third + i] = value >>> 16;
        }
        return;
      case 4:
        for (let i = 0; i < rows; i++) {
          const value = values[i]!;
          bytes[at + i] = value;
          bytes[second + i] = value >>> 8;
          bytes[third + i] = value >>> 16;
          bytes[fourth + i] = value >>> 24;
        }
    }
  }

  #scratch(rows: number) {
    if (this.#low.length < rows) {
      this.#low = new Uint32Array(rows * 2);
      this.#high = new Uint32Array(rows * 2);
    }
    return { low: this.#low, high: this.#high };
  }

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + more));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
  }
}

function halvesOf(values: BigInt64Array | BigUint64Array) {
  const pairs = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
  const low = new Uint32Array(values.length);
  const high = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    low[i] = pairs[2 * i]!;
    high[i] = pairs[2 * i + 1]!;
  }
  return { low, high };
}

function planesOf(bits: number): number {
  return (39 - Math.clz32(bits)) >> 3;
}

/** Reads columns out of an unpacked payload, none of whose numbers is trusted. */
export class ColumnReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    // Of a Buffer, `slice` would be no copy.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** What comes next, and where that ends. */
  section(): { kind: number; end: number } {
    const kind = this.u32();
    const bytes = this.u32();
    if (bytes > this.left) this.fail(`a section of ${bytes} bytes where ${this.left} are left`);
    return { kind, end: this.#at + bytes };
  }

  /** Goes on behind a section. What a version to come has put behind its columns is left out. */
  skipTo(end: number): void {
    if (this.#at > end) this.fail("a section is longer than it says");
    this.#at = end;
  }

  /** @throws DamageError where there is something wrong */
  fail(message: string): never {
    throw new DamageError(message, this.#at);
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u32(): number {
    const at = this.#take(4);
    const bytes = this.#bytes;
    return (
      (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
    );
  }

  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** @param limit what no byte may reach */
  octets(rows: number, limit: number): Uint8Array {
    const values = this.raw(rows).slice();
    for (const value of values) if (value >= limit) this.fail(`a ${value} where less is needed`);
    return values;
  }

  uints(rows: number): Uint32Array {
    const planes = this.u8();
    if (planes > 4) this.fail(`a column of numbers has ${planes} bytes for each`);
    const values = new Uint32Array(rows);
    this.#planes(values, 1, 0, rows, planes);
    return values;
  }

  doubles(rows: number): Float64Array {
    return new Float64Array(this.longs(rows).buffer);
  }

  /** Any 64 bits. */
  longs(rows: number): BigInt64Array {
    const head = this.u8();
    const planes = head & PLANES;
    if (planes > 8 || (head & ~(PLANES | ZIGZAG)) !== 0) this.fail(`no column begins with ${head}`);
    const values = new BigInt64Array(rows);
    const pairs = new Uint32Array(values.buffer);
    this.#planes(pairs, 2, 0, rows, Math.min(planes, 4));
    this.#planes(pairs, 2, 1, rows, planes - Math.min(planes, 4));
    if ((head & ZIGZAG) === 0) return values;
    for (let i = 0; i < 2 * rows; i += 2) {
      const low = pairs[i]!;
      const high = pairs[i + 1]!;
      const sign = -(low & 1);
      pairs[i] = ((low >>> 1) | (high << 31)) ^ sign;
      pairs[i + 1] = (high >>> 1) ^ sign;
    }
    return values;
  }

  deltas(rows: number): BigInt64Array {
    if (rows === 0) return new BigInt64Array(0);
    let low = this.u32();
    let high = this.u32();
    const values = this.longs(rows);
    const pairs = new Uint32Array(values.buffer);
    for (let i = 0; i < 2 * rows; i += 2) {
      low += pairs[i]!;
      high = (high + pairs[i + 1]! + (low >= TWO_32 ? 1 : 0)) >>> 0;
      low >>>= 0;
      pairs[i] = low;
      pairs[i + 1] = high;
    }
    return values;
  }

  /** @param countMax more texts would be more than there are rows for them */
  texts(countMax: number): string[] {
    const count = this.u32();
    if (count > countMax) this.fail(`${count} texts where there may be ${countMax}`);
    const lengths = this.uints(count);
    const total = this.u32();
    const bytes = this.raw(total);
    let sum = 0;
    for (const length of lengths) sum += length;
    if (sum !== total) this.fail(`texts of ${sum} bytes in ${total}`);
    const texts: string[] = new Array(count);
    const all = decoder.decode(bytes);
    // One character for each byte: then texts begin where their bytes do, and are cut out of one text.
    const isPlain = all.length === total && utf8Bytes(all) === total;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const end = at + lengths[i]!;
      texts[i] = isPlain ? all.slice(at, end) : decoder.decode(bytes.subarray(at, end));
      at = end;
    }
    return texts;
  }

  #planes(into: Uint32Array, stride: number, offset: number, rows: number, planes: number): void {
    const bytes = this.#bytes;
    for (let plane = 0; plane < planes; plane++) {
      const at = this.#take(rows);
      const shift = 8 * plane;
      let k = offset;
      for (let i = 0; i < rows; i++) {
        into[k]! |= bytes[at + i]! << shift;
        k += stride;
      }
    }
  }

  #take(length: number): number {
    const at = this.#at;
    if (length > this.left)
      throw new DamageError(`${length} bytes needed where ${this.left} are left`, at);
    this.#at = at + length;
    return at;
  }
}
