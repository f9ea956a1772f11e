// CRC-32 of a part of an array. For a short part the engine's own function costs less than the view that it needs.

/** Bytes from which on the engine's function is the faster one, view included. */
const SHORT_BYTES = 64;
/** Polynomial of IEEE 802.3, bits reversed. */
const POLYNOMIAL = 0xedb8_8320;

/** By byte; then by byte with one, two and three zeroes behind it: "slicing by four", Kounavis and Berry, 2005. */
const TABLES = new Uint32Array(4 * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
  TABLES[byte] = crc;
}
for (let at = 256; at < TABLES.length; at++) {
  const crc = TABLES[at - 256]!;
  TABLES[at] = (crc >>> 8) ^ TABLES[crc & 0xff]!;
}

/** @param start and `end`: offsets in `bytes`, with a whole number of 4-byte words between them */
export function crc32(bytes: Uint8Array, start: number, end: number): number {
  if (end - start > SHORT_BYTES) return Bun.hash.crc32(bytes.subarray(start, end));
  let crc = -1;
  for (let at = start; at < end; at += 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      TABLES[768 + (crc & 0xff)]! ^
      TABLES[512 + ((crc >>> 8) & 0xff)]! ^
      TABLES[256 + ((crc >>> 16) & 0xff)]! ^
      TABLES[crc >>> 24]!;
  }
  return ~crc >>> 0;
}
