// Snappy's block format, of bytes of which some are not known yet. Used by Template, which compresses the names of a
// pool's series once and puts the values in at each snapshot.
// https://github.com/google/snappy/blob/main/format_description.txt

import { readVarint } from "../../protobuf/index.ts";

/** A symbol below this is a byte. From here on it names a byte that is to come: equal symbols will be equal bytes. */
export const LATER = 256;
/** A byte that is to come and equals none: it is always written out, never copied nor copied from. */
export const UNIQUE = 0xffff;

export interface Compressed {
  /** Elements of the block format, without the length before them. They refer to nothing before themselves. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Where symbols from {@link LATER} on were written out: place in `bytes`, then symbol, in the order of the input. */
  places: Uint32Array;
}

const DAMAGED = "a block that is damaged";
const HASH_BITS = 14;
const MIN_MATCH = 4;
const MAX_OFFSET = 0xffff;
const table = new Int32Array(1 << HASH_BITS);

/** @param symbols bytes, and names of bytes that are to come */
export function compress(symbols: Uint16Array): Compressed {
  const n = symbols.length;
  const out = new Uint8Array(n + Math.ceil(n / 6) + 16);
  const places: number[] = [];
  let length = 0;

  const literal = (from: number, to: number): void => {
    const size = to - from - 1;
    if (size < 0) return;
    if (size < 60) {
      out[length++] = size << 2;
    } else {
      const extra = size < 0x100 ? 1 : size < 0x1_0000 ? 2 : size < 0x100_0000 ? 3 : 4;
      out[length++] = (59 + extra) << 2;
      for (let i = 0; i < extra; i++) out[length++] = size >>> (8 * i);
    }
    for (let i = from; i < to; i++) {
      const symbol = symbols[i]!;
      if (symbol >= LATER) places.push(length, symbol);
      out[length++] = symbol;
    }
  };
  const copy = (offset: number, size: number): void => {
    let rest = size;
    while (rest > 0) {
      if (rest >= 4 && rest <= 11 && offset < 2048) {
        out[length++] = 1 | ((rest - 4) << 2) | ((offset >> 8) << 5);
        out[length++] = offset;
        return;
      }
      const part = Math.min(rest, 64);
      out[length++] = 2 | ((part - 1) << 2);
      out[length++] = offset;
      out[length++] = offset >> 8;
      rest -= part;
    }
  };

  table.fill(-1);
  let written = 0;
  let at = 0;
  const last = n - MIN_MATCH;
  while (at <= last) {
    const hash = hashOf(symbols, at);
    const before = table[hash]!;
    table[hash] = at;
    const size = before >= 0 && at - before <= MAX_OFFSET ? matchLength(symbols, before, at, n) : 0;
    if (size < MIN_MATCH) {
      at++;
      continue;
    }
    literal(written, at);
    copy(at - before, size);
    const end = at + size;
    // Every place of a copy may begin the next: names repeat with one label changed in their middle.
    for (let i = at + 1; i < end && i <= last; i++) table[hashOf(symbols, i)] = i;
    at = end;
    written = end;
  }
  literal(written, n);
  return { bytes: out.slice(0, length), places: Uint32Array.from(places) };
}

function hashOf(symbols: Uint16Array, at: number): number {
  const word =
    symbols[at]! ^
    (symbols[at + 1]! << 8) ^
    (symbols[at + 2]! << 16) ^
    Math.imul(symbols[at + 3]!, 0x0100_0193);
  return Math.imul(word, 0x1e35_a7bd) >>> (32 - HASH_BITS);
}

function matchLength(symbols: Uint16Array, before: number, at: number, end: number): number {
  let i = before;
  let j = at;
  while (j < end && symbols[i] === symbols[j] && symbols[j] !== UNIQUE) {
    i++;
    j++;
  }
  return j - at;
}

/**
 * Undoes {@link compress}: a whole block, its length before it.
 * @throws RangeError for what is no block, or longer than allowed
 */
export function decompress(block: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  const { value: size, end: start } = readVarint(block, 0);
  if (size > maxBytes) throw new RangeError(`a block of ${size} bytes, at most ${maxBytes}`);
  const out = new Uint8Array(size);
  let length = 0;
  let at = start;
  while (at < block.length) {
    const tag = block[at++]!;
    const kind = tag & 3;
    if (kind === 0) {
      let count = tag >> 2;
      if (count >= 60) {
        const extra = count - 59;
        count = 0;
        for (let i = 0; i < extra; i++) count += (block[at++] ?? 0) * 256 ** i;
      }
      count++;
      if (at + count > block.length || length + count > size) throw new RangeError(DAMAGED);
      out.set(block.subarray(at, at + count), length);
      at += count;
      length += count;
      continue;
    }
    const count = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    let offset = kind === 1 ? (tag >> 5) << 8 : 0;
    const offsetBytes = kind === 3 ? 4 : kind;
    for (let i = 0; i < offsetBytes; i++) offset += (block[at++] ?? 0) * 256 ** i;
    if (offset === 0 || offset > length || length + count > size) throw new RangeError(DAMAGED);
    for (const end = length + count; length < end; length++) out[length] = out[length - offset]!;
  }
  if (length !== size) throw new RangeError(DAMAGED);
  return out;
}
