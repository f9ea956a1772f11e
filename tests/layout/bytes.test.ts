// Lengths of texts in UTF-8, without an encoder.

import { expect, test } from "bun:test";
import { utf8Bytes } from "../../src/layout/bytes.ts";

test("the length in UTF-8 is the encoder's, also of halves of characters and at every bound", () => {
  const units = [
    0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xffff,
  ];
  const encoder = new TextEncoder();
  for (const a of units) {
    for (const b of units) {
      for (const c of units) {
        const text = String.fromCharCode(a, b, c);
        expect(utf8Bytes(text)).toBe(encoder.encode(text).length);
      }
    }
  }
});
