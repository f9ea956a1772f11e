// Thrift's compact protocol, as far as Parquet's footers need it: read into a tree whose fields keep their order and
// their types, and written from it again, byte for byte.
// https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md

export const TYPE = {
  true: 1,
  false: 2,
  i8: 3,
  i16: 4,
  i32: 5,
  i64: 6,
  double: 7,
  binary: 8,
  list: 9,
  set: 10,
  map: 11,
  struct: 12,
} as const;

/** Deeper than any footer is; what is hostile ends here. */
const MAX_DEPTH = 16;

interface Field {
  id: number;
  type: number;
  value: Value;
}

export type Struct = Field[];

export interface List {
  type: number;
  items: Value[];
}

/** Elements of a list of structs, as they are written. */
interface RawList {
  count: number;
  bytes: Uint8Array;
}

/** Booleans of a struct are in the type alone. */
export type Value = bigint | boolean | Uint8Array | Struct | List | RawList;

/** The bytes are no such struct. */
class ThriftError extends Error {
  override readonly name = "ThriftError";
}

/** The value of a field; undefined when it is not there. */
export function fieldOf(struct: Struct, id: number): Value | undefined {
  return struct.find((field) => field.id === id)?.value;
}

/** @throws ThriftError unless the bytes begin with a struct */
export function readStruct(bytes: Uint8Array): Struct {
  return new Reader(bytes).struct(0);
}

export function writeStruct(struct: Struct): Uint8Array {
  const writer = new Writer();
  writer.struct(struct);
  return writer.bytes;
}

class Reader {
  #at = 0;

  constructor(readonly bytes: Uint8Array) {}

  struct(depth: number): Struct {
    if (depth > MAX_DEPTH) throw new ThriftError("structs within structs without end");
    const fields: Struct = [];
    for (let last = 0; ; ) {
      const head = this.#u8();
      if (head === 0) return fields;
      const type = head & 15;
      const id = head >> 4 === 0 ? Number(this.#zigzag()) : last + (head >> 4);
      const isBoolean = type === TYPE.true || type === TYPE.false;
      fields.push({ id, type, value: isBoolean ? type === TYPE.true : this.#value(type, depth) });
      last = id;
    }
  }

  #value(type: number, depth: number): Value {
    switch (type) {
      case TYPE.true:
      case TYPE.false:
        return this.#u8() === TYPE.true;
      case TYPE.i8:
        return BigInt((this.#u8() << 24) >> 24);
      case TYPE.i16:
      case TYPE.i32:
      case TYPE.i64:
        return this.#zigzag();
      case TYPE.double:
        return this.#take(8);
      case TYPE.binary:
        return this.#take(Number(this.#varint()));
      case TYPE.list:
      case TYPE.set: {
        const head = this.#u8();
        const count = head >> 4 === 15 ? Number(this.#varint()) : head >> 4;
        // An element takes at least a byte.
        if (count > this.bytes.length - this.#at) throw new ThriftError(`a list of ${count}`);
        const items = Array.from({ length: count }, () => this.#value(head & 15, depth + 1));
        return { type: head & 15, items };
      }
      case TYPE.struct:
        return this.struct(depth + 1);
      default:
        throw new ThriftError(`a value of type ${type}`);
    }
  }

  #u8(): number {
    const byte = this.bytes[this.#at++];
    if (byte === undefined) throw new ThriftError("it is cut off");
    return byte;
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length;
    if (!(end <= this.bytes.length)) throw new ThriftError("it is cut off");
    const taken = this.bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#u8();
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw new ThriftError("a number without end");
  }

  #zigzag(): bigint {
    const value = this.#varint();
    return (value >> 1n) ^ -(value & 1n);
  }
}

class Writer {
  #bytes = new Uint8Array(4096);
  #length = 0;

  get bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  struct(fields: Struct): void {
    let last = 0;
    for (const { id, type, value } of fields) {
      const delta = id - last;
      if (delta > 0 && delta < 16) this.#u8((delta << 4) | type);
      else {
        this.#u8(type);
        this.#zigzag(BigInt(id));
      }
      last = id;
      if (type !== TYPE.true && type !== TYPE.false) this.#value(type, value);
    }
    this.#u8(0);
  }

  #value(type: number, value: Value): void {
    switch (type) {
      case TYPE.true:
      case TYPE.false:
        return this.#u8(value === true ? TYPE.true : TYPE.false);
      case TYPE.i8:
        return this.#u8(Number(value as bigint) & 255);
      case TYPE.i16:
      case TYPE.i32:
      case TYPE.i64:
        return this.#zigzag(value as bigint);
      case TYPE.double:
        return this.#put(value as Uint8Array);
      case TYPE.binary:
        this.#varint(BigInt((value as Uint8Array).length));
        return this.#put(value as Uint8Array);
      case TYPE.struct:
        return this.struct(value as Struct);
      default:
        if ("bytes" in (value as List | RawList)) return this.#rawList(value as RawList);
        return this.#list(value as List);
    }
  }

  #list({ type, items }: List): void {
    this.#listHead(type, items.length);
    for (const item of items) this.#value(type, item);
  }

  #rawList({ count, bytes }: RawList): void {
    this.#listHead(TYPE.struct, count);
    this.#put(bytes);
  }

  #listHead(type: number, count: number): void {
    this.#u8((Math.min(count, 15) << 4) | type);
    if (count >= 15) this.#varint(BigInt(count));
  }

  #u8(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  #put(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #varint(value: bigint): void {
    let rest = value;
    for (; rest > 127n; rest >>= 7n) this.#u8(Number(rest & 127n) | 128);
    this.#u8(Number(rest));
  }

  #zigzag(value: bigint): void {
    this.#varint(value >= 0n ? value << 1n : (-value << 1n) - 1n);
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
