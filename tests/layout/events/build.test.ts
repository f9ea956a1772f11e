// Blocks out of rings: they hold what a reader of the ring reads, whoever builds them builds the same bytes, and whatever
// the ring's bytes are, building ends with a block that can be read.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { shapeOf } from "../../../src/client/events/ring-writer.ts";
import {
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
import { allRowsOf, ORIGIN, unzstd, zstd } from "../../support/blocks.ts";
import {
  definitionsIn,
  headerOf,
  headIn,
  readAll,
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
        row["properties"] = { ...(row["properties"] as object), ...properties };
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
  readonly ring = new TestRing();
  #sequence = 0;

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
});

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
