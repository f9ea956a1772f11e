// Rings, blocks and segments of one version before or after: what this version does not know is left out where that may
// be, and not what stands beside.

import { describe, expect, test } from "bun:test";
import {
  BLOCK_PAYLOAD_VERSION,
  BLOCK_VERSION,
  decodeBlock,
  decodeBlockHeader,
  decodeSegment,
  encodeBlock,
  UnknownFormatError,
} from "../../../src/layout/index.ts";
import { allRowsOf, ORIGIN, rowsAsJson, someColumns, unzstd, zstd } from "../../support/blocks.ts";
import {
  EXTRA_SECTION,
  grownBlock,
  NEEDED_SECTION,
  segmentFixture,
} from "../../support/grown-blocks.ts";

describe("a segment of this version, written once and kept,", () => {
  test("is read whole", () => {
    const { bytes, read } = segmentFixture(`v${BLOCK_VERSION}-${BLOCK_PAYLOAD_VERSION}`);
    expect(decodeSegment(bytes).map(({ block }) => rowsAsJson(block))).toEqual(read as unknown[]);
  });
});

describe("a block of a version after", () => {
  const sound = encodeBlock(ORIGIN, someColumns(), zstd);
  const rows = allRowsOf(decodeBlock(sound, unzstd));

  test("is read but for sections, columns, fields and features that may be left out", () => {
    const grown = grownBlock(sound, {
      compatible: 0x8000_0001,
      before: [EXTRA_SECTION],
      behind: [EXTRA_SECTION, EXTRA_SECTION + 1],
      more: 5,
      header: { hint: { of: "a version to come" } },
    });
    expect(allRowsOf(decodeBlock(grown, unzstd))).toEqual(rows);
    expect(decodeBlockHeader(grown)).toMatchObject(decodeBlockHeader(sound));
  });

  test.each([
    ["a payload of another version", { payloadVersion: BLOCK_PAYLOAD_VERSION + 1 }, "version 2"],
    ["features that one must know", { incompatible: 0x8000_0000 }, "(0x80000000)"],
    ["a section that one must know", { behind: [NEEDED_SECTION] }, "unknown section 112"],
  ])("with %s says what it is of, but not its rows", (_, growth, message) => {
    const grown = grownBlock(sound, growth);
    expect(decodeBlockHeader(grown)).toEqual(decodeBlockHeader(sound));
    expect(() => decodeBlock(grown, unzstd)).toThrow(UnknownFormatError);
    expect(() => decodeBlock(grown, unzstd)).toThrow(message);
  });

  test("with another header is told from a damaged one", () => {
    const grown = grownBlock(sound, { version: BLOCK_VERSION + 1 });
    expect(() => decodeBlockHeader(grown)).toThrow(UnknownFormatError);
    expect(() => decodeBlockHeader(grown)).toThrow("version 2, and this microview reads 1");
  });

  test("with a section twice, too long or too short is damaged", () => {
    for (const behind of [[1], [2], [3], [4]])
      expect(() => decodeBlock(grownBlock(sound, { behind }), unzstd)).toThrow();
    expect(() => decodeBlock(grownBlock(sound, { more: -1 }), unzstd)).toThrow();
  });
});

test("a segment of a version after is told from what is no segment", () => {
  const { bytes } = segmentFixture(`v${BLOCK_VERSION}-${BLOCK_PAYLOAD_VERSION}`);
  bytes[5] = "2".charCodeAt(0);
  expect(() => decodeSegment(bytes)).toThrow(UnknownFormatError);
});
