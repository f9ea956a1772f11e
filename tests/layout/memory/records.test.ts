// Records byte by byte: what is written is what is read, and whatever is cut short or forged is a DamageError.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  ByteReader,
  ByteWriter,
  DamageError,
  LIMITS,
  RECORD,
  RECORD_HEADER_BYTES,
  RecordWriter,
  readBind,
  readGrant,
  readMetric,
  readService,
  readWriter,
  WRITER_SECRET_HASH_BYTES,
} from "../../../src/layout/index.ts";
import { define } from "../../support/pools.ts";

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);

/** The reader of a single record's body. */
function body(records: RecordWriter): ByteReader {
  return new ByteReader(records.bytes.bytes(), RECORD_HEADER_BYTES);
}

describe("fields", () => {
  test("come back as they were written, in their order", () => {
    const field = fc.oneof(
      fc.record({ type: fc.constant("u8" as const), value: fc.nat(0xff) }),
      fc.record({ type: fc.constant("u16" as const), value: u16 }),
      fc.record({ type: fc.constant("u32" as const), value: u32 }),
      fc.record({ type: fc.constant("u64" as const), value: fc.maxSafeNat() }),
      fc.record({ type: fc.constant("f64" as const), value: fc.double() }),
    );
    fc.assert(
      fc.property(fc.array(field), (fields) => {
        const writer = new ByteWriter(1);
        for (const { type, value } of fields) writer[type](value);
        const reader = new ByteReader(writer.bytes());
        for (const { type, value } of fields) expect(reader[type]()).toBe(value);
        expect(() => reader.u8()).toThrow(DamageError);
      }),
    );
  });

  test("of text come back whatever their characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        const reader = new ByteReader(new ByteWriter(1).text(text).bytes());
        expect(reader.text(0xffff)).toBe(text);
      }),
    );
  });

  test("of text come back with a byte order mark in front, for it is part of them", () => {
    const reader = new ByteReader(new ByteWriter().text("\uFEFFauth").bytes());
    expect(reader.text(0xffff)).toBe("\uFEFFauth");
  });

  test("of text may be stepped over", () => {
    const bytes = new ByteWriter().text("héllo").u32(7).bytes();
    const reader = new ByteReader(bytes);
    expect(reader.skipText(10)).toBe(6);
    expect(reader.u32()).toBe(7);
  });

  test("of text longer than a record can say are refused when they are written", () => {
    expect(() => new ByteWriter().text("x".repeat(0x1_0000))).toThrow(RangeError);
  });

  const bad: [string, Uint8Array, (reader: ByteReader) => unknown][] = [
    ["cut short", Uint8Array.of(1, 2, 3), (reader) => reader.u32()],
    ["a text longer than it may be", new ByteWriter().text("abcd").bytes(), (r) => r.text(3)],
    ["a text longer than its record", Uint8Array.of(9, 0, 65), (reader) => reader.text(100)],
    ["a text that is not UTF-8", Uint8Array.of(2, 0, 0xc3, 0x28), (reader) => reader.text(100)],
    ["half of a surrogate pair", Uint8Array.of(3, 0, 0xed, 0xa0, 0x80), (r) => r.text(100)],
    ["a skipped text too long", new ByteWriter().text("abcd").bytes(), (r) => r.skipText(3)],
    ["a skipped text not UTF-8", Uint8Array.of(2, 0, 0xc3, 0x28), (r) => r.skipText(100)],
    ["an integer above 2^53", new Uint8Array(8).fill(255), (reader) => reader.u64()],
  ];
  test.each(bad)("that are %s are damage, with its place", (_, bytes, read) => {
    const reader = new ByteReader(bytes);
    expect(() => read(reader)).toThrow(DamageError);
    try {
      read(new ByteReader(bytes));
    } catch (error) {
      expect((error as DamageError).offset).toBeLessThanOrEqual(bytes.length);
    }
  });

  test("are read no further than the end that the reader was given", () => {
    const reader = new ByteReader(new Uint8Array(16), 0, 4);
    reader.u32();
    expect(() => reader.u8()).toThrow(DamageError);
    expect(() => new ByteReader(new Uint8Array(4), 0, 100).f64()).toThrow(DamageError);
  });
});

describe("a record", () => {
  test("is whole words, with its type, length and checksum in front", () => {
    const bytes = new RecordWriter().service(1, "auth").bytes.bytes();
    const reader = new ByteReader(bytes);
    expect(bytes.length).toBe(24);
    expect(reader.u16()).toBe(RECORD.service);
    expect(reader.u16()).toBe(3);
    expect(reader.u32()).toBe(Bun.hash.crc32(bytes.subarray(8)));
  });

  test("of a service is read as it was written", () => {
    fc.assert(
      fc.property(u32, fc.string({ unit: "binary", maxLength: 60 }), (id, name) => {
        expect(readService(body(new RecordWriter().service(id, name)))).toEqual({ id, name });
      }),
    );
  });

  test("of a writer is read as it was written", () => {
    const fields = {
      id: u32,
      service: u32,
      flags: u32,
      pid: u32,
      threadId: u32,
      startedAtMs: fc.double({ noNaN: true }),
      lockOffset: fc.maxSafeNat(),
      lockBytes: u32,
    };
    const length = WRITER_SECRET_HASH_BYTES;
    const secretHash = fc.uint8Array({ minLength: length, maxLength: length });
    const writer = fc.oneof(fc.record(fields), fc.record({ ...fields, secretHash }));
    fc.assert(
      fc.property(writer, (given) => {
        expect(readWriter(body(new RecordWriter().writer(given)))).toEqual(given);
      }),
    );
  });

  test("of a grant and of a binding is read as it was written", () => {
    const grant = fc.record({ writer: u32, page: u32, pages: u32, slot: u16, slots: u16 });
    const bind = fc.record({ writer: u32, firstSeries: u32, count: u32, page: u32, slot: u32 });
    fc.assert(
      fc.property(grant, bind, (givenGrant, givenBind) => {
        expect(readGrant(body(new RecordWriter().grant(givenGrant)))).toEqual(givenGrant);
        expect(readBind(body(new RecordWriter().bind(givenBind)))).toEqual(givenBind);
      }),
    );
  });

  const definitions = [
    define.counter("c", ["path", "status"]),
    define.gauge("g", "min"),
    define.histogram("h", [-1, 0, 1e9], ["path"]),
    define.logLinear("l"),
    { ...define.counter("full"), help: "é".repeat(LIMITS.helpBytes / 2), unit: "%" },
  ];

  test("of a metric is read as it was written", () => {
    for (const metric of definitions) {
      const read = readMetric(body(new RecordWriter().metric(3, 2, metric)));
      expect(read).toEqual({ id: 3, service: 2, metric });
    }
  });

  test("of a metric that is cut anywhere is damage", () => {
    for (const metric of definitions) {
      const bytes = new RecordWriter().metric(3, 2, metric).bytes.bytes();
      // The last bytes may be padding that nobody misses.
      for (let end = RECORD_HEADER_BYTES; end < bytes.length - 8; end++) {
        expect(() => readMetric(new ByteReader(bytes, RECORD_HEADER_BYTES, end))).toThrow(
          DamageError,
        );
      }
    }
  });

  const forged: [string, (view: DataView) => void][] = [
    ["an unknown kind", (view) => view.setUint8(16, 9)],
    ["an unknown combination", (view) => view.setUint8(17, 9)],
    ["65,535 labels", (view) => view.setUint16(18, 0xffff, true)],
    ["65,535 bounds", (view) => view.setUint16(20, 0xffff, true)],
    ["a name of 65,535 bytes", (view) => view.setUint16(22, 0xffff, true)],
    ["a name that breaks the rules", (view) => view.setUint8(24, 0x2d)],
  ];
  test.each(forged)("of a metric with %s is damage", (_, forge) => {
    const bytes = new RecordWriter().metric(1, 1, define.histogram("h", [1, 2])).bytes.bytes();
    forge(new DataView(bytes.buffer, bytes.byteOffset));
    expect(() => readMetric(new ByteReader(bytes, RECORD_HEADER_BYTES))).toThrow(DamageError);
  });
});
