// CRC-32 of a part of an array, also over several pieces, for pools and blocks. In TypeScript because the layout runs in
// browsers too; and the engine's own function wants a view of the part, which for a short record costs more than the sum.

/** Polynomial of IEEE 802.3, bits reversed. */
const POLYNOMIAL = 0xedb8_8320;
/** Bytes that are taken at once: "slicing by eight", Kounavis and Berry, 2005. */
const STEP = 8;

/** By byte, then by byte with one to seven zeroes behind it. */
const TABLES = new Int32Array(STEP * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
  TABLES[byte] = crc;
}
for (let at = 256; at < TABLES.length; at++) {
  const crc = TABLES[at - 256]!;
  TABLES[at] = (crc >>> 8) ^ TABLES[crc & 0xff]!;
}

/**
 * @param end offset behind the part, which begins at `start`
 * @param before checksum of the bytes that come before these
 */
export function crc32(bytes: Uint8Array, start = 0, end = bytes.length, before = 0): number {
  let crc = ~before;
  let at = start;
  for (; at + STEP <= end; at += STEP) {
    const low =
      crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      TABLES[1792 + (low & 0xff)]! ^
      TABLES[1536 + ((low >>> 8) & 0xff)]! ^
      TABLES[1280 + ((low >>> 16) & 0xff)]! ^
      TABLES[1024 + (low >>> 24)]! ^
      TABLES[768 + bytes[at + 4]!]! ^
      TABLES[512 + bytes[at + 5]!]! ^
      TABLES[256 + bytes[at + 6]!]! ^
      TABLES[bytes[at + 7]!]!;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ TABLES[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}
