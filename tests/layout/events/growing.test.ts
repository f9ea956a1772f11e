// Rings, blocks and segments of one version before or after: what this version does not know is left out where that may
// be, and not what stands beside.

import { describe, expect, test } from "bun:test";
import {
  BLOCK_PAYLOAD_VERSION,
  BLOCK_VERSION,
  BlockBuilder,
  decodeBlock,
  decodeBlockHeader,
  decodeRingHeader,
  decodeSegment,
  EVENT_FLAGS,
  encodeBlock,
  RING_VERSION,
  type RingEvent,
  UnknownFormatError,
  VALUE,
} from "../../../src/layout/index.ts";
import {
  allRowsOf,
  ORIGIN,
  rowsAsJson,
  rowsOf,
  someColumns,
  unzstd,
  zstd,
} from "../../support/blocks.ts";
import {
  EXTRA_SECTION,
  grownBlock,
  NEEDED_SECTION,
  segmentFixture,
} from "../../support/grown-blocks.ts";
import { ANOTHER, grownRing, HINT, ringFixture, UNKNOWN } from "../../support/grown-rings.ts";
import {
  definitionsIn,
  headerOf,
  headIn,
  readAll,
  readerOf,
  TestRing,
  wordsOf,
} from "../../support/rings.ts";

/** The block of all that a ring has. */
function blockOfRing(bytes: Uint8Array) {
  const { block } = new BlockBuilder(zstd).build({
    ...{ header: headerOf(), definitions: definitionsIn(bytes), timeline: undefined },
    ...{ words: wordsOf(bytes, 0, headIn(bytes)), first: 0 },
    ...{ isFinal: false, process: ORIGIN.process },
  });
  return decodeBlock(block, unzstd);
}

const messagesOf = (events: readonly RingEvent[]) =>
  events.flatMap((event) => (event.kind === "log" ? [event.message] : []));

describe("a ring", () => {
  const { bytes, read } = ringFixture(RING_VERSION);

  test("of this version, written once and kept, is read whole", () => {
    const reader = readerOf(bytes);
    expect(JSON.parse(JSON.stringify(readAll(reader)))).toEqual(read);
    expect(reader.skipped).toBe(0);
  });

  test("of the version after is read, but for records that may be left out, which are counted", () => {
    const growth = { version: RING_VERSION + 1, compatible: 0x8000_0001 };
    const image = grownRing(bytes, { ...growth, types: [HINT, ANOTHER, HINT] });
    expect(decodeRingHeader(image, image.length)).toMatchObject(growth);
    const reader = readerOf(image);
    const events = readAll(reader);
    expect(messagesOf(events)).toEqual(messagesOf(read).slice(3));
    expect(events).toHaveLength(read.length - 3);
    expect(reader.skipped).toBe(3);
    const { header, logs, measures, spans } = blockOfRing(image);
    expect(header.skipped).toBe(3);
    const whole = blockOfRing(bytes);
    expect(whole.header.skipped).toBeUndefined();
    expect([logs.rows, measures.rows, spans.rows]).toEqual([
      whole.logs.rows - 3,
      whole.measures.rows,
      whole.spans.rows,
    ]);
  });

  test("with a record that may not be left out is damaged there, and nowhere else", () => {
    const image = grownRing(bytes, { types: [UNKNOWN] });
    const events = readAll(readerOf(image));
    expect(events.filter(({ kind }) => kind === "damaged")).toMatchObject([
      { reason: `no record has the type ${UNKNOWN}` },
    ]);
    expect(events).toHaveLength(read.length);
    expect(blockOfRing(image).logs.rows).toBe(blockOfRing(bytes).logs.rows);
  });

  test("has definitions and values of kinds to come left out, and not what stands beside them", () => {
    const ring = new TestRing();
    const { encoder, writer } = ring;
    const hint = writer.define(HINT, {
      ints: Int32Array.of(-1, -1, -1),
      length: 3,
      truncated: false,
    });
    ring.log("defined behind it");
    writer.log(3, hint, 0, 0, encoder.reset(), 0);
    // An object of two pairs: a value of five bytes whose tag is not known, and a number.
    encoder.reset().text("with values").text("hint").text("n");
    const [message, key, n] = [
      encoder.ints.slice(0, 4),
      encoder.ints.slice(4, 6),
      encoder.ints.slice(6, 8),
    ];
    const words = [...message, VALUE.object | (2 << 8), ...key, HINT | (5 << 8), 1, 2, ...n];
    const ints = Int32Array.of(...words, VALUE.integer, 7);
    const tail = { ints, length: ints.length, truncated: false };
    writer.log(3, 0, 0, 0, tail, EVENT_FLAGS.properties);
    const reader = ring.reader();
    expect(readAll(reader)).toMatchObject([
      { message: "defined behind it" },
      { message: `[definition ${hint}]` },
      { message: "with values", properties: { hint: "[unknown]", n: 7 } },
    ]);
    const rows = rowsOf(blockOfRing(ring.bytes).logs);
    expect(rows.map(({ message }) => message)).toEqual([
      "defined behind it",
      `[definition ${hint}]`,
      "with values",
    ]);
    expect(JSON.parse(String(rows[2]!["properties"]))).toEqual({ hint: "[unknown]", n: 7 });
  });

  test("is refused, with the reason, of two versions after and with features that one must know", () => {
    const open = (growth: Parameters<typeof grownRing>[1]) => () =>
      readerOf(grownRing(bytes, growth));
    expect(open({ version: RING_VERSION + 2 })).toThrow("reads versions 1 to 2");
    expect(open({ version: 0 })).toThrow("it has version 0");
    expect(open({ incompatible: 0x8000_0004 })).toThrow("does not know (0x80000004)");
  });
});

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
