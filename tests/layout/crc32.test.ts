// The layout's own CRC-32, beside the engine's.

import { expect, test } from "bun:test";
import { crc32 } from "../../src/layout/crc32.ts";

test("the checksum of short and long parts is the engine's, wherever they begin", () => {
  const bytes = new Uint8Array(512);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 167 + (i >>> 3)) & 0xff;
  for (let start = 0; start <= 9; start++) {
    for (let length = 0; start + length <= bytes.length; length++) {
      const expected = Bun.hash.crc32(bytes.subarray(start, start + length));
      expect(crc32(bytes, start, start + length)).toBe(expected);
    }
  }
});

test("the checksum of pieces is that of the whole", () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => (i * 89) & 0xff);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const before = crc32(bytes, 0, cut);
    expect(crc32(bytes, cut, bytes.length, before)).toBe(Bun.hash.crc32(bytes));
  }
});
