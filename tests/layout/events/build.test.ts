// Blocks out of rings: they hold what a reader of the ring reads, whoever builds them builds the same bytes, and whatever
// the ring's bytes are, building ends with a block that can be read.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { shapeOf } from "../../../src/client/events/ring-writer.ts";
import {
  BLOCK_WORDS_MAX,
  BlockBuilder,
  type BuiltBlock,
  DEFINITION,
  type DecodedBlock,
  decodeBlock,
  decodeBlockHeader,
  EVENT_FLAGS,
  LEVELS,
  type RingEvent,
  SPAN_KINDS,
  type TimelineState,
} from "../../../src/layout/index.ts";
import { allRowsOf, ORIGIN, rowsOf, unzstd, zstd } from "../../support/blocks.ts";
import {
  definitionsIn,
  emptyRing,
  headerOf,
  headIn,
  memoryOf,
  readAll,
  readerOf,
  SMALL,
  TestRing,
  wordsOf,
} from "../../support/rings.ts";

type Row = Record<string, unknown>;
type Rows = ReturnType<typeof allRowsOf>;

/** Builds a block of a part of a ring, by a builder that has built nothing before. */
function built(
  bytes: Uint8Array,
  first: number,
  end: number,
  timeline?: TimelineState,
  builder = new BlockBuilder(zstd),
): BuiltBlock {
  const header = headerOf();
  return builder.build({
    header,
    definitions: definitionsIn(bytes),
    words: wordsOf(bytes, first, end),
    first,
    timeline,
    isFinal: false,
    process: ORIGIN.process,
  });
}

/** What a block has to hold of events, by the way that is easy to follow. */
function rowsOfEvents(events: readonly RingEvent[]): Rows {
  const rows: Rows = { logs: [], measures: [], spans: [], opens: [], closes: [] };
  const open = new Map<string, Row>();
  const begun: Row[] = [];
  const cut = new Set<Row>();
  for (const event of events) {
    const { timeMs, truncated } = event;
    const json = (properties: object) => ({
      ...properties,
      ...(truncated ? { "microview.truncated": true } : {}),
    });
    switch (event.kind) {
      case "log": {
        const { level, target, message, spanId } = event;
        const properties = json(event.properties);
        const row = { timeMs, level: LEVELS.indexOf(level), target, message, properties };
        rows.logs.push({ ...row, spanId: idOf(spanId) });
        break;
      }
      case "measure": {
        const { name, unit, target, value } = event;
        rows.measures.push({
          timeMs,
          name,
          unit,
          target,
          value,
          properties: json(event.properties),
        });
        break;
      }
      case "begin": {
        const { name, target, place, depth, spanKind } = event;
        const row = {
          ...{ beginMs: timeMs, name, target, place, depth, kind: SPAN_KINDS.indexOf(spanKind) },
          spanId: idOf(event.spanId),
          parentId: idOf(event.parentId),
          traceHigh: idOf(event.traceId.slice(0, 16)),
          traceLow: idOf(event.traceId.slice(16)),
          isAsync: event.isAsync ? 1 : 0,
          properties: json(event.properties),
        };
        open.set(event.spanId, row);
        begun.push(row);
        if (truncated) cut.add(row);
        break;
      }
      case "end": {
        const status = event.status === "ok" ? 0 : 1;
        const row = open.get(event.spanId);
        const properties = json(event.properties);
        if (row === undefined || row["status"] !== undefined) {
          rows.closes.push({ endMs: timeMs, spanId: idOf(event.spanId), status, properties });
          break;
        }
        row["status"] = status;
        row["endMs"] = timeMs;
        row["properties"] = {
          ...{ ...(row["properties"] as object), ...properties },
          // Whatever a property of that name says.
          ...(cut.has(row) ? { "microview.truncated": true } : {}),
        };
        break;
      }
      default: {
        const { kind, timeMs: _, truncated: __, ...properties } = event;
        const target = `microview.${kind}`;
        rows.logs.push({ timeMs, level: 2, target, spanId: 0n, properties });
      }
    }
  }
  for (const row of begun) {
    if (row["status"] === undefined) rows.opens.push({ ...row, endMs: undefined, status: 0 });
    else rows.spans.push(row);
  }
  return rows;
}

function idOf(hex: string | undefined): bigint {
  return hex === undefined ? 0n : BigInt(`0x${hex}`);
}

/** The same of a block: milliseconds as a reader gives them, to the microsecond, and properties as values. */
function comparable(rows: Rows): unknown {
  const tables = Object.entries(rows).map(([table, all]) => [table, all.map(comparableRow)]);
  return Object.fromEntries(tables);
}

function comparableRow(row: Row): Row {
  const same: Row = {};
  for (const [name, value] of Object.entries(row)) {
    if (name.endsWith("Ms")) same[name] = value === undefined ? 0 : Math.round(Number(value) * 100);
    else if (name.endsWith("Ns")) same[name.replace("Ns", "Ms")] = Math.round(Number(value) / 1e4);
    else if (name === "properties" && typeof value === "string")
      same[name] = value === "" ? {} : JSON.parse(value);
    else if (name === "properties") same[name] = JSON.parse(JSON.stringify(value, finite));
    else same[name] = value;
  }
  // Rows about the ring itself have a message for people.
  if (String(same["target"]).startsWith("microview.")) {
    delete same["message"];
    if (same["target"] === "microview.damaged") delete same["properties"];
  }
  return same;
}

function finite(_: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

const key = fc.constantFrom("user", "route", "deep", "__proto__", "ü\n", "microview.truncated");
const leaf = fc.oneof(
  fc.integer(),
  fc.integer({ min: -9, max: 9 }).map((each) => each / 4),
  fc.double(),
  fc.string({ unit: "grapheme", maxLength: 12 }).filter((each) => each.isWellFormed()),
  fc.constantFrom(true, false, null, "GET", "GET", "\u0003"),
);
const value = fc.oneof(
  { weight: 6, arbitrary: leaf },
  { weight: 1, arbitrary: fc.array(leaf, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.dictionary(key, leaf, { maxKeys: 2 }) },
);
const properties = fc.option(fc.dictionary(key, value, { maxKeys: 3 }), {
  nil: undefined,
  freq: 2,
});
const name = fc.constantFrom("query", "render", "lock");
const op = fc.oneof(
  fc.record({
    op: fc.constant("log" as const),
    message: fc.constantFrom("signed in", "signed out", "a b c", "ö"),
    level: fc.nat(5),
    span: fc.nat(9),
    target: fc.option(name, { nil: undefined }),
    isInline: fc.boolean(),
    properties,
    isTruncated: fc.boolean(),
  }),
  fc.record({
    op: fc.constant("measure" as const),
    name,
    isInline: fc.boolean(),
    value: fc.oneof(fc.double(), fc.nat(100)),
    properties,
  }),
  fc.record({
    op: fc.constant("begin" as const),
    name,
    isInline: fc.boolean(),
    parent: fc.nat(9),
    remote: fc.option(fc.tuple(fc.integer(), fc.integer()), { nil: undefined, freq: 4 }),
    trace: fc.nat(2),
    depth: fc.nat(9),
    kind: fc.nat(4),
    bits: fc.nat(1),
    properties,
  }),
  fc.record({
    op: fc.constant("end" as const),
    back: fc.nat(9),
    status: fc.nat(1),
    properties,
  }),
  fc.record({ op: fc.constant("fail" as const) }),
  fc.record({ op: fc.constant("step" as const), ms: fc.integer({ min: -900, max: 900 }) }),
);
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

/** Records what it is told. */
class Scribe {
  readonly ring: TestRing;
  #sequence = 0;

  /** @param stores gets each store of the writer, in their order */
  constructor(stores?: [Int32Array | Float64Array, number, number][]) {
    if (stores === undefined) {
      this.ring = new TestRing();
      return;
    }
    const { ints, doubles } = memoryOf(emptyRing());
    const watched = <T extends Int32Array | Float64Array>(view: T): T =>
      new Proxy(view, {
        get: (target, key) => Reflect.get(target, key, target),
        set(target, key, value) {
          stores.push([target, Number(key), value]);
          target[Number(key)] = value;
          return true;
        },
      });
    this.ring = new TestRing({}, { ints: watched(ints), doubles: watched(doubles) });
  }

  record(given: Op): void {
    const { writer, interner, clock, encoder } = this.ring;
    const flagsOf = (each: object | undefined) => (each === undefined ? 0 : EVENT_FLAGS.properties);
    const append = (each: object | undefined) => {
      if (each !== undefined) encoder.properties(each);
    };
    encoder.reset();
    switch (given.op) {
      case "log": {
        const { message, level, span, target, isInline } = given;
        const id = isInline ? 0 : interner.define(DEFINITION.text, message);
        const targetId =
          target === undefined ? 0 : interner.define(DEFINITION.target, target, "a.ts:1");
        encoder.reset();
        if (id === 0) encoder.text(message);
        append(given.properties);
        const flags = flagsOf(given.properties) | (given.isTruncated ? EVENT_FLAGS.truncated : 0);
        writer.log(level, id, Math.max(0, this.#sequence - span), targetId, encoder, flags);
        return;
      }
      case "measure": {
        const texts = [given.name, "ms", "db", "a.ts:2"] as const;
        const id = given.isInline ? 0 : interner.define(DEFINITION.measure, ...texts);
        encoder.reset();
        if (id === 0) for (const text of texts) encoder.text(text);
        append(given.properties);
        writer.measureWith(id, given.value, encoder, flagsOf(given.properties));
        return;
      }
      case "begin": {
        const texts = [given.name, "db", "a.ts:3"] as const;
        const id = given.isInline ? 0 : interner.define(DEFINITION.span, ...texts);
        encoder.reset();
        let flags = flagsOf(given.properties);
        if (given.remote !== undefined) {
          flags |= EVENT_FLAGS.remoteParent;
          for (const half of given.remote) encoder.ints[encoder.length++] = half;
        }
        if (id === 0) for (const text of texts) encoder.text(text);
        append(given.properties);
        const { depth, kind, bits, trace } = given;
        const sequence = ++this.#sequence;
        const words = { trace0: trace, trace1: 1, trace2: -1, trace3: trace * 7 };
        const begun = { sequence, depth, shape: shapeOf(kind, bits), ...words };
        const parent = given.remote === undefined ? Math.max(0, sequence - 1 - given.parent) : 0;
        writer.begin(id, parent, begun, encoder, flags);
        return;
      }
      case "end": {
        const sequence = Math.max(1, this.#sequence - given.back);
        append(given.properties);
        if (given.properties === undefined) writer.end(sequence, given.status);
        else writer.endWith(sequence, given.status, encoder);
        return;
      }
      case "fail":
        writer.failed();
        return;
      case "step":
        clock.setByMs += given.ms;
        // An anchor is written each second, a thousand looks at this clock.
        for (let i = 0; i < 1000; i++) clock.ticks();
    }
  }
}

describe("a block out of a ring", () => {
  test("holds what a reader reads, part by part, whoever builds it and whatever was built before", () => {
    const parts = fc.array(fc.array(op, { maxLength: 25 }), { minLength: 1, maxLength: 4 });
    const used = new BlockBuilder(zstd);
    fc.assert(
      fc.property(parts, (all) => {
        const scribe = new Scribe();
        const { bytes } = scribe.ring;
        const reader = scribe.ring.reader();
        let first = 0;
        let timeline: TimelineState | undefined;
        for (const ops of all) {
          for (const each of ops) scribe.record(each);
          const end = headIn(bytes);
          const { block, header } = built(bytes, first, end, timeline, used);
          expect(built(bytes, first, end, timeline).block).toEqual(block);
          expect(decodeBlockHeader(block)).toEqual(header);
          expect(header).toMatchObject({ first, end });
          const rows = allRowsOf(decodeBlock(block, unzstd));
          expect(comparable(rows)).toEqual(comparable(rowsOfEvents(readAll(reader))));
          expectTimes(decodeBlock(block, unzstd));
          timeline = header.timeline;
          first = end;
        }
      }),
      { numRuns: 300 },
    );
  });

  test("ends where the last record that is whole ends", () => {
    const ring = new TestRing();
    for (let i = 0; i < 20; i++) ring.log(`line ${i}`);
    const end = headIn(ring.bytes);
    const ends = new Set<number>();
    let lines = 0;
    for (let words = end; words > 8; words--) {
      const { header } = built(ring.bytes, 0, words);
      expect(header.end).toBeLessThanOrEqual(words);
      ends.add(header.end);
      lines = Math.max(lines, header.rows.logs);
    }
    // The first record is the anchor.
    expect([ends.size, lines]).toEqual([21, 20]);
  });

  test("goes across the end of the ring", () => {
    const ring = new TestRing();
    const texts: string[] = [];
    let first = 0;
    let timeline: TimelineState | undefined;
    for (let i = 0; i < 60; i++) {
      ring.log(`${i} ${"x".repeat((i * 997) % 8000)}`);
      if (i % 7 !== 6) continue;
      const end = headIn(ring.bytes);
      const { block, header } = built(ring.bytes, first, end, timeline);
      texts.push(...rowsOf(decodeBlock(block, unzstd).logs).map(({ message }) => String(message)));
      ring.shipAll();
      first = end;
      timeline = header.timeline;
    }
    expect(first * 8).toBeGreaterThan(SMALL.ringBytes);
    expect(texts.map((text) => Number.parseInt(text, 10))).toEqual([...Array(56).keys()]);
  });

  test("that nobody knows the time of takes it from the first anchor in it", () => {
    const ring = new TestRing();
    ring.log("before");
    const first = headIn(ring.bytes);
    ring.log("first");
    ring.clock.setByMs = 5000;
    for (let i = 0; i < 1000; i++) ring.clock.ticks();
    ring.log("second");
    const { block } = built(ring.bytes, first, headIn(ring.bytes));
    const { logs } = decodeBlock(block, unzstd);
    expect(rowsOf(logs).map(({ message }) => message)).toEqual(["first", "second"]);
    const [a, b] = [...logs.timeNs].map((ns) => Number(ns) / 1e6 - 1.7e12) as [number, number];
    // A thousand and one looks at a clock of milliseconds lie between them.
    expect(b - a).toBeCloseTo(1001, 2);
    expect(a).toBeGreaterThan(5000);
  });

  test("tells of refusals and of a clock that was set, in rows of their own", () => {
    const ring = new TestRing();
    ring.writer.failed();
    ring.log("after a gap");
    ring.clock.setByMs = -5000;
    for (let i = 0; i < 1000; i++) ring.clock.ticks();
    ring.log("after a step");
    const { block } = built(ring.bytes, 0, headIn(ring.bytes));
    const rows = rowsOf(decodeBlock(block, unzstd).logs);
    expect(rows.map(({ target, message }) => [target, message])).toEqual([
      ["microview.gap", "events were refused, because the ring was full"],
      ["", "after a gap"],
      ["microview.clock", "the clock was set back by 5000 ms"],
      ["", "after a step"],
    ]);
    expect(JSON.parse(String(rows[0]!["properties"]))).toEqual({
      ...{ spans: 0, measures: 0, logs: 0, severe: 0, failed: 1 },
    });
    expect(JSON.parse(String(rows[2]!["properties"]))).toEqual({ stepMs: -5000 });
  });

  test("of a writer that has ended and left nothing says that nothing follows", () => {
    const header = headerOf();
    const { block } = new BlockBuilder(zstd).build({
      ...{ header, definitions: definitionsIn(emptyRing()), words: new Uint8Array(0) },
      ...{ first: 77, timeline: undefined, isFinal: true, process: ORIGIN.process },
    });
    expect(decodeBlockHeader(block)).toMatchObject({ first: 77, end: 77, isFinal: true });
  });

  test("can be read after each store of its writer", () => {
    const stores: [Int32Array | Float64Array, number, number][] = [];
    const scribe = new Scribe(stores);
    const random = fc.sample(op, { numRuns: 80, seed: 7 });
    for (const each of random) if (each.op !== "step") scribe.record(each);
    const image = emptyRing();
    const { ints, doubles } = memoryOf(image);
    let before = -1;
    for (const [view, at, value] of stores) {
      (view instanceof Int32Array ? ints : doubles)[at] = value;
      const end = headIn(image);
      const { block, header } = built(image, 0, end);
      expect(header.end).toBe(end);
      if (end === before) continue;
      before = end;
      const rows = allRowsOf(decodeBlock(block, unzstd));
      expect(comparable(rows)).toEqual(comparable(rowsOfEvents(readAll(readerOf(image)))));
    }
    expect(before).toBeGreaterThan(400);
  });
});

describe("a block out of a hostile ring", () => {
  /** A ring with each kind of record in it. */
  function filled(): Uint8Array {
    const scribe = new Scribe();
    for (const each of fc.sample(op, { numRuns: 300, seed: 3 })) scribe.record(each);
    return scribe.ring.bytes;
  }

  test("is built and can be read, whatever the ring's bytes are", () => {
    const sound = filled();
    const end = headIn(sound);
    const word = fc.record({
      // Definitions, and the ring as far as it is written.
      at: fc.oneof(
        fc.integer({ min: 3072, max: 3300 }),
        fc.nat(2 * end).map((i) => SMALL.ringOffset / 4 + i),
      ),
      value: fc.oneof(
        fc.nat(0xffff_ffff),
        fc.nat(20),
        fc.nat(0xffff).map((i) => i << 8),
      ),
    });
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 8 }), (words) => {
        const bytes = sound.slice();
        for (const { at, value } of words)
          new DataView(bytes.buffer).setUint32(at * 4, value, true);
        const { block, header } = built(bytes, 0, end);
        expect(header.end).toBeLessThanOrEqual(end);
        expect(built(bytes, 0, end).block).toEqual(block);
        for (const row of Object.values(allRowsOf(decodeBlock(block, unzstd))).flat()) {
          if (row["properties"] !== "") JSON.parse(String(row["properties"]));
        }
      }),
      { numRuns: 400 },
    );
  });

  test("holds what a reader reads, whatever the ring's bytes are", () => {
    const sound = filled();
    const end = headIn(sound);
    const records = recordsIn(sound);
    const change = fc.oneof(
      // Fields of records, mostly the first ones, by a byte each, with numbers that mean something there.
      fc.tuple(fc.constantFrom(...records), fc.nat(80), someByte).map(([record, at, value]) => ({
        at: record + at,
        value,
      })),
      fc
        .tuple(fc.constantFrom(...records), fc.constantFrom(2, 3), someByte)
        .map(([record, at, value]) => ({ at: record + at, value })),
      fc.tuple(fc.integer({ min: 12_288, max: 13_200 }), someByte).map(([at, value]) => ({
        at,
        value,
      })),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = sound.slice();
        for (const { at, value } of changes) bytes[at] = value;
        const rows: Rows = { logs: [], measures: [], spans: [], opens: [], closes: [] };
        let skipped = 0;
        let timeline: TimelineState | undefined;
        for (let first = 0; first < end; ) {
          const { block, header } = built(bytes, first, end, timeline);
          const more = allRowsOf(decodeBlock(block, unzstd));
          for (const table of Object.keys(rows) as (keyof Rows)[]) rows[table].push(...more[table]);
          skipped += header.skipped ?? 0;
          timeline = header.timeline;
          first = header.end;
        }
        const reader = readerOf(bytes);
        const read = rowsOfEvents(readAll(reader));
        expect(reader.skipped).toBe(skipped);
        expect(withoutTimes(rows)).toEqual(withoutTimes(read));
        const [ofBlocks, ofReader] = [timesOf(rows), timesOf(read)];
        expect(ofBlocks.length).toBe(ofReader.length);
        // A reader has doubles, which are not exact to the nanosecond.
        for (const [i, ms] of ofBlocks.entries())
          expect(Math.abs(ms - ofReader[i]!)).toBeLessThan(0.01);
      }),
      { numRuns: 400 },
    );
  });

  test("is built whatever its page says of the time", () => {
    const bytes = filled();
    const number = fc.oneof(fc.double({ min: -(2 ** 61), max: 2 ** 61, noNaN: true }), fc.nat());
    const state = fc.record({
      ...{ tick: number, monotonicNs: number, aheadNs: number.map(Math.abs) },
      unixMs: fc.double({ min: 0, max: 9.2e12, noNaN: true }),
    });
    fc.assert(
      fc.property(state, (timeline) => {
        decodeBlock(built(bytes, 0, headIn(bytes), timeline).block, unzstd);
      }),
    );
  });

  test("has a bounded number of rows for what is damaged", () => {
    const words = 10_000;
    const bytes = new Uint8Array(words * 8);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < words; at++) {
      view.setUint32(at * 8, 1 | (99 << 16), true);
      view.setUint32(at * 8 + 4, at, true);
    }
    const definitions = definitionsIn(emptyRing());
    const { block, header } = new BlockBuilder(zstd).build({
      ...{ header: headerOf(), definitions, words: bytes, first: 0, timeline: undefined },
      ...{ isFinal: false, process: ORIGIN.process },
    });
    const rows = rowsOf(decodeBlock(block, unzstd).logs);
    expect([header.end, rows.length]).toEqual([words, 257]);
    expect(JSON.parse(String(rows.at(-1)!["properties"]))).toEqual({ parts: words });
  });

  test("takes no longer because spans have numbers that fall on one another", () => {
    const ring = new TestRing();
    const id = ring.interner.define(DEFINITION.span, "query", "", "");
    for (let i = 0; i < 800; i++) ring.begin(id, ((i * 2 ** 20) >>> 0) + 1);
    const { header } = built(ring.bytes, 0, headIn(ring.bytes));
    expect(header.rows.opens).toBe(800);
  });

  test("holds what properties there is room for, and says where there was none", () => {
    const ring = new TestRing();
    const definitions = definitionsIn(ring.bytes);
    // Keys of 255 bytes that are named by four: each row would be read as ten times what it takes.
    const keys = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(250));
    const properties = Object.fromEntries(keys.map((each) => [each, true]));
    ring.encoder.reset().text("m").properties(properties);
    ring.writer.log(3, 0, 0, 0, ring.encoder, EVENT_FLAGS.properties);
    const one = wordsOf(ring.bytes, 0, headIn(ring.bytes)).slice(8 * 4);
    const record = one.subarray(0, 8 * new DataView(one.buffer).getUint16(0, true));
    const count = Math.floor((BLOCK_WORDS_MAX * 8) / record.length);
    const words = new Uint8Array(count * record.length);
    const view = new DataView(words.buffer);
    for (let i = 0; i < count; i++) {
      words.set(record, i * record.length);
      view.setUint32(i * record.length + 4, (i * record.length) / 8, true);
    }
    const header = { ...headerOf(), ringBytes: 1 << 26 };
    const { block } = new BlockBuilder(zstd).build({
      ...{ header, definitions, words, first: 0, timeline: undefined },
      ...{ isFinal: false, process: ORIGIN.process },
    });
    const texts = rowsOf(decodeBlock(block, unzstd).logs).map((row) => String(row["properties"]));
    expect(texts).toHaveLength(count);
    expect(JSON.parse(texts[0]!)).toEqual(properties);
    expect(JSON.parse(texts.at(-1)!)).toEqual({ "microview.truncated": true });
  });
});

const someByte = fc.oneof(fc.nat(255), fc.nat(14), fc.constantFrom(0x7f, 0x80, 0xf0, 0xff));

/** Where the records of a ring that never went round begin, in bytes of its file. */
function recordsIn(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer);
  const places: number[] = [];
  for (let at = 0; at < headIn(bytes); at += view.getUint16(SMALL.ringOffset + 8 * at, true))
    places.push(SMALL.ringOffset + 8 * at);
  return places;
}

/** What is damaged is told at the time of what came before it, which whoever begins there does not know. */
function isOfDamage({ target }: Row): boolean {
  return target === "microview.damaged";
}

function withoutTimes(rows: Rows): unknown {
  const tables = Object.entries(comparable(rows) as Rows).map(([table, all]) => [
    table,
    all.map((row) =>
      Object.fromEntries(Object.entries(row).filter(([name]) => !name.endsWith("Ms"))),
    ),
  ]);
  return Object.fromEntries(tables);
}

/** Milliseconds of all rows, in their order. */
function timesOf(rows: Rows): number[] {
  const times = (row: Row) =>
    ["time", "begin", "end"].flatMap((name) => {
      const [ns, ms] = [row[`${name}Ns`], row[`${name}Ms`]];
      if (typeof ns === "bigint") return ns === 0n ? [] : [Number(ns) / 1e6];
      return typeof ms === "number" ? [ms] : [];
    });
  return Object.values(rows).flatMap((all) => all.filter((row) => !isOfDamage(row)).flatMap(times));
}

/** The header's are those of the rows. */
function expectTimes({ header, logs, measures, spans, opens, closes }: DecodedBlock): void {
  const times = [
    ...[...logs.timeNs, ...measures.timeNs, ...spans.beginNs, ...spans.endNs],
    ...[...opens.beginNs, ...closes.endNs],
  ];
  if (times.length === 0) return;
  const inOrder = times.filter((time) => time !== 0n).sort((a, b) => (a < b ? -1 : 1));
  expect([header.beginNs, header.endNs]).toEqual([String(inOrder[0]), String(inOrder.at(-1))]);
}
