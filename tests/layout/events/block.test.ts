// Blocks of events: columns go in and come out, and whatever bytes are given as a block, reading them ends with what they
// hold or with one error that says what is wrong, and takes no more memory than is allowed.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  BLOCK_PREFIX,
  type BlockColumns,
  blankCloses,
  blankLogs,
  blankMeasures,
  blankSpans,
  DamageError,
  decodeBlock,
  decodeBlockHeader,
  encodeBlock,
  headerApp,
  headerText,
} from "../../../src/layout/index.ts";
import {
  allRowsOf,
  noColumns,
  ORIGIN,
  someColumns,
  tableOf,
  unzstd,
  zstd,
} from "../../support/blocks.ts";
import { blockOf, grownBlock, payloadOf } from "../../support/grown-blocks.ts";

const ns = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n);
const near = fc.bigInt(1_700_000_000_000_000_000n, 1_700_000_000_000_100_000n);
const time = fc.oneof(ns, near);
const u64 = fc.bigInt(0n, 2n ** 64n - 1n);
/** Few of them, so that parents and traces come again. */
const id = fc.oneof(u64, fc.bigInt(0n, 8n));
const text = fc.string({ unit: "grapheme" }).filter((each) => each.isWellFormed());
const name = fc.oneof(text, fc.constantFrom("query", "render", ""));
const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.integer().map((each) => each / 1000),
  fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY),
);

const log = fc.record({
  timeNs: time,
  level: fc.nat(5),
  target: name,
  message: name,
  spanId: id,
  properties: name,
});
const measure = fc.record({
  timeNs: time,
  name,
  unit: name,
  target: name,
  value: number,
  properties: name,
});
const span = fc.record({
  beginNs: time,
  endNs: time,
  spanId: id,
  parentId: id,
  traceHigh: id,
  traceLow: id,
  depth: fc.oneof(fc.nat(3), fc.nat(0xffff)),
  kind: fc.nat(4),
  isAsync: fc.nat(1),
  status: fc.nat(1),
  name,
  target: name,
  place: name,
  properties: name,
});
const open = span.map((each) => ({ ...each, endNs: 0n, status: 0 }));
const close = fc.record({ spanId: id, endNs: time, status: fc.nat(1), properties: name });

const blocks = fc
  .record({
    logs: fc.array(log),
    measures: fc.array(measure),
    spans: fc.array(span),
    opens: fc.array(open),
    closes: fc.array(close),
  })
  .map(
    ({ logs, measures, spans, opens, closes }): BlockColumns => ({
      logs: tableOf(blankLogs(logs.length), logs),
      measures: tableOf(blankMeasures(measures.length), measures),
      spans: tableOf(blankSpans(spans.length), spans),
      opens: tableOf(blankSpans(opens.length), opens),
      closes: tableOf(blankCloses(closes.length), closes),
    }),
  );

function damaged(bytes: Uint8Array): string {
  try {
    decodeBlock(bytes, unzstd);
  } catch (error) {
    expect(error).toBeInstanceOf(DamageError);
    return (error as Error).message;
  }
  throw new Error("it was read");
}

/** A block whose checksum is right, whatever else is not. */
function forged(header: object, payload: Uint8Array, rawPayloadBytes = payload.length): Uint8Array {
  return blockOf({ header, payload, rawPayloadBytes });
}

describe("a block", () => {
  test("has the same rows when it is decoded, whatever they are", () => {
    fc.assert(
      fc.property(blocks, (columns) => {
        const block = encodeBlock(ORIGIN, columns, zstd);
        expect(allRowsOf(decodeBlock(block, unzstd))).toEqual(allRowsOf(columns));
      }),
    );
  });

  test("says what it is of, how many rows it has and from when to when, without being unpacked", () => {
    const block = encodeBlock(ORIGIN, someColumns(), zstd);
    expect(decodeBlockHeader(block)).toEqual({
      ...ORIGIN,
      blockId: "0123456789abcdef-00000000000010",
      beginNs: "1700000000000000000",
      endNs: "1700000000000000500",
      rows: { logs: 1, measures: 1, spans: 2, opens: 1, closes: 1 },
    });
  });

  test("that has no rows is one too", () => {
    const block = encodeBlock({ ...ORIGIN, isFinal: true }, noColumns(), zstd);
    const { header } = decodeBlock(block, unzstd);
    expect(header).toMatchObject({ isFinal: true, beginNs: ORIGIN.stream.startNs });
  });

  test.each([
    ["/process/service", { service: "a\0b" }],
    ["/process/host", { host: "\ud800" }],
    ["/process/pod", { pod: "\udc00x" }],
    ["/process/app", { app: "" }],
    ["/process/app", { app: "a\nb" }],
    ["/process/app", { app: "a".repeat(501) }],
    ["/process/properties/k", { properties: { k: "\0" } }],
    ["a key of /process/properties", { properties: { "\ud800": "v" } }],
  ])("is refused with %s = %j, which no catalogue would give back", (field, wrong) => {
    const process = { ...ORIGIN.process, ...wrong };
    expect(() => encodeBlock({ ...ORIGIN, process }, noColumns(), zstd)).toThrow(field);
    const sound = encodeBlock(ORIGIN, noColumns(), zstd);
    expect(() => decodeBlockHeader(grownBlock(sound, { header: { process } }))).toThrow(field);
  });

  test("may have any name of an application that OTLP has, but for control characters", () => {
    const text = fc.string({ unit: "binary", maxLength: 600 });
    fc.assert(
      fc.property(text, text, fc.string({ unit: "grapheme" }), (app, service, host) => {
        const given = { app: headerApp(app) || "default", service: headerText(service), host };
        const process = { ...ORIGIN.process, ...given, host: headerText(host) };
        const block = encodeBlock({ ...ORIGIN, process }, noColumns(), zstd);
        expect(decodeBlockHeader(block).process).toEqual(process);
      }),
    );
    expect(headerApp("shop/eu \u{1f6d2}")).toBe("shop/eu \u{1f6d2}");
    expect(headerApp("a\0b\nc\ud800")).toBe("a\ufffdb\ufffdc\ufffd");
  });

  test("is not made when a number is out of its range, or the header is none that could be read", () => {
    const columns = someColumns();
    columns.logs.level[0] = 6;
    expect(() => encodeBlock(ORIGIN, columns, zstd)).toThrow("row 0 has level 6");
    expect(() => encodeBlock({ ...ORIGIN, first: -1 }, noColumns(), zstd)).toThrow("/first = -1");
    const stream = { ...ORIGIN.stream, streamId: "../x" };
    expect(() => encodeBlock({ ...ORIGIN, stream }, noColumns(), zstd)).toThrow("/stream/streamId");
  });
});

describe("a hostile block", () => {
  const sound = encodeBlock(ORIGIN, someColumns(), zstd);

  test("that was cut off or changed anywhere is damaged", () => {
    for (let length = 0; length < sound.length; length++) damaged(sound.slice(0, length));
    for (let at = 0; at < sound.length; at++) {
      const block = sound.slice();
      block[at]! ^= 1 << (at % 8);
      // Nothing depends on how many bytes it says that it unpacks to but the unpacking.
      damaged(block);
    }
  });

  test("with a wrong checksum, an unknown version or unknown flags says so", () => {
    const checksum = sound.slice();
    checksum[BLOCK_PREFIX.checksum]! ^= 1;
    expect(damaged(checksum)).toBe("the block's checksum is wrong");
    const version = sound.slice();
    version[4] = 2;
    expect(damaged(version)).toContain("version 2, and this microview reads 1");
    expect(damaged(grownBlock(sound, { incompatible: 4 }))).toContain("(0x4)");
  });

  test("that unpacks to more than it says, or says more than is allowed, is not unpacked", () => {
    const header = decodeBlockHeader(sound);
    const bomb = new Uint8Array(1 << 26);
    expect(damaged(forged(header, bomb, 1000))).toContain("cannot be unpacked");
    expect(damaged(forged(header, new Uint8Array(10), 2 ** 26 + 1))).toContain("rawPayloadBytes");
  });

  test("that says it has more rows than it has bytes for is damaged", () => {
    const header = decodeBlockHeader(sound);
    const payload = payloadOf(sound);
    for (const table of ["logs", "measures", "spans", "opens", "closes"] as const) {
      for (const rows of [0, 1, 2, 1000, 2 ** 20, 2 ** 32, 2 ** 52]) {
        if (rows === header.rows[table]) continue;
        damaged(forged({ ...header, rows: { ...header.rows, [table]: rows } }, payload));
      }
    }
  });

  test("with a payload of anything at all is damaged, or read, and nothing else", () => {
    const header = decodeBlockHeader(sound);
    const payload = payloadOf(sound);
    const changes = fc.array(fc.tuple(fc.nat(payload.length - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(changes, (bytes) => {
        const changed = payload.slice();
        for (const [at, value] of bytes) changed[at] = value;
        try {
          const block = decodeBlock(forged(header, changed), unzstd);
          expect(JSON.stringify(allRowsOf(block), (_, v) => String(v))).toBeString();
        } catch (error) {
          expect(error).toBeInstanceOf(DamageError);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("with a header of anything at all is damaged, or read, and nothing else", () => {
    const header = decodeBlockHeader(sound);
    const fields = fc.constantFrom(...Object.keys(header));
    fc.assert(
      fc.property(fields, fc.jsonValue(), (field, value) => {
        try {
          decodeBlock(forged({ ...header, [field]: value }, payloadOf(sound)), unzstd);
        } catch (error) {
          expect(error).toBeInstanceOf(DamageError);
        }
      }),
    );
  });
});
