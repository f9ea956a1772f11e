// Writes protobuf (https://protobuf.dev/programming-guides/encoding/) into a buffer that grows. The length of a nested
// message takes four bytes, whatever it is, so that it can be filled in afterwards: a varint may be longer than it must.

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
/** Messages are shorter than 2^28 bytes. */
const LENGTH_BYTES = 4;

export class ProtoWriter {
  #bytes = new Uint8Array(64 * 1024);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  readonly #encoder = new TextEncoder();

  get length(): number {
    return this.#at;
  }

  /** What was written, and an empty buffer again. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#at);
    this.#at = 0;
    return taken;
  }

  /** An unsigned number, or an enum's. */
  uint(field: number, value: number | bigint): this {
    this.#room(20);
    this.#tag(field, VARINT);
    if (typeof value === "bigint") this.#varint64(value);
    else this.#varint(value);
    return this;
  }

  fixed64(field: number, value: bigint): this {
    this.#room(18);
    this.#tag(field, FIXED64);
    this.#view.setBigUint64(this.#at, BigInt.asUintN(64, value), true);
    this.#at += 8;
    return this;
  }

  double(field: number, value: number): this {
    this.#room(18);
    this.#tag(field, FIXED64);
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
    return this;
  }

  text(field: number, value: string): this {
    // A code unit has at most three bytes.
    this.#room(20 + 3 * value.length);
    this.#tag(field, LENGTH);
    const begin = this.#at;
    this.#at += LENGTH_BYTES;
    this.#at += this.#encoder.encodeInto(value, this.#bytes.subarray(this.#at)).written;
    this.#close(begin);
    return this;
  }

  /** A nested message, of what `write` writes. */
  message(field: number, write: (writer: this) => void): this {
    this.#room(20);
    this.#tag(field, LENGTH);
    const begin = this.#at;
    this.#at += LENGTH_BYTES;
    write(this);
    this.#close(begin);
    return this;
  }

  #close(begin: number): void {
    const length = this.#at - begin - LENGTH_BYTES;
    for (let i = 0; i < LENGTH_BYTES; i++) {
      const more = i < LENGTH_BYTES - 1 ? 0x80 : 0;
      this.#bytes[begin + i] = ((length >>> (7 * i)) & 0x7f) | more;
    }
  }

  #tag(field: number, type: number): void {
    this.#varint(field * 8 + type);
  }

  #varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
  }

  #varint64(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x1fffffffffffffn) {
      this.#bytes[this.#at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#varint(Number(rest));
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#at + bytes));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}
