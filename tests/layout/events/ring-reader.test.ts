// Rings whose bytes are anything at all: whatever they say, a reader stays within them, ends, and throws nothing.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { shapeOf } from "../../../src/client/events/ring-writer.ts";
import {
  DEFINITION,
  decodeRingHeader,
  EVENT_FLAGS,
  encodeRingHeader,
  finishRingHeader,
  isSampled,
  RING_SHIPPER,
  RingFormatError,
  RingReader,
  SPAN_BITS,
  SPAN_KINDS,
  sampleThreshold,
} from "../../../src/layout/index.ts";
import { emptyRing, headerOf, readAll, readerOf, SMALL, TestRing } from "../../support/rings.ts";

/** A ring with each kind of record in it. */
function filled(): TestRing {
  const ring = new TestRing();
  for (let i = 0; i < 40; i++) {
    ring.log(`line ${i % 3}`);
    ring.encoder.reset().properties({ route: "/x", list: [1, { deep: "text" }], i });
    const latency = ring.interner.define(DEFINITION.measure, "latency", "ms", "http", "a.ts:1");
    ring.writer.measureWith(latency, i, ring.encoder, 1);
    ring.begin(ring.interner.define(DEFINITION.span, "query", "db", "b.ts:2"), i + 1, i);
    ring.writer.endWith(i + 1, 0, ring.encoder);
    ring.begin(0);
    ring.writer.end(1, 1);
  }
  return ring;
}

describe("the header of a ring", () => {
  test("reads back as it was written", () => {
    const names = fc.record({
      service: fc.string({ minLength: 1, maxLength: 60 }).filter((text) => text.isWellFormed()),
      app: fc.stringMatching(/^[a-z][a-z0-9-]{0,30}[a-z]$/),
      pid: fc.nat(),
      threadId: fc.nat(),
      ringId: fc.stringMatching(/^[0-9a-f]{16}$/),
      processId: fc.stringMatching(/^[0-9a-f]{32}$/),
      processStartUnixMs: fc.nat(),
      exe: fc.string({ maxLength: 60 }).filter((text) => text.isWellFormed()),
      runtime: fc.string({ maxLength: 8 }).filter((text) => text.isWellFormed()),
    });
    fc.assert(
      fc.property(names, (given) => {
        const header = { ...headerOf(), ...given };
        const bytes = encodeRingHeader(header);
        finishRingHeader(bytes);
        expect(decodeRingHeader(bytes, SMALL.fileBytes)).toEqual(header);
      }),
    );
  });

  test("is refused when a part does not lie in the file, whatever is forged", () => {
    fc.assert(
      fc.property(fc.nat(127), fc.nat(0xffff_ffff), (word, value) => {
        const bytes = emptyRing();
        new DataView(bytes.buffer).setUint32(word * 8, value, true);
        try {
          readAll(readerOf(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(RingFormatError);
        }
      }),
    );
  });

  test("says what is wrong: no ring, another version, unknown features", () => {
    expect(() => decodeRingHeader(new Uint8Array(10), 10)).toThrow("too short");
    expect(() => decodeRingHeader(new Uint8Array(4096), 4096)).toThrow("no ring of events");
    const bytes = emptyRing();
    bytes[16] = 1;
    expect(() => readerOf(bytes)).toThrow("features that this microview does not know (0x1)");
    bytes[8] = 9;
    expect(() => readerOf(bytes)).toThrow(
      "it has version 9, and this microview reads versions 1 to 2",
    );
  });
});

describe("a record", () => {
  const PLACED = ["db", "src/db.ts:7"] as const;

  test("of a log says which part of the program it is of", () => {
    const ring = new TestRing();
    const target = ring.interner.define(DEFINITION.target, "http", "src/http.ts:3");
    ring.encoder.reset().text("message");
    ring.writer.log(3, 0, 0, target, ring.encoder, 0);
    ring.log("of no part");
    expect(readAll(ring.reader())).toMatchObject([
      { kind: "log", message: "message", target: "http" },
      { kind: "log", message: "of no part", target: "" },
    ]);
  });

  test("of a measure or a span has target and place, by its definition or written out", () => {
    const ring = new TestRing();
    const span = ring.interner.define(DEFINITION.span, "query", ...PLACED);
    const measure = ring.interner.define(DEFINITION.measure, "rows", "1", ...PLACED);
    ring.begin(span);
    ring.writer.measure(measure, 5);
    ring.encoder.reset().text("query").text(PLACED[0]).text(PLACED[1]);
    ring.begin(0);
    ring.encoder.reset().text("rows").text("1").text(PLACED[0]).text(PLACED[1]);
    ring.writer.measureWith(0, 5, ring.encoder, 0);
    const [target, place] = PLACED;
    const both = [
      { kind: "begin", name: "query", target, place },
      { kind: "measure", name: "rows", unit: "1", target, place, value: 5 },
    ];
    expect(readAll(ring.reader())).toMatchObject([...both, ...both]);
  });

  test("of a beginning and an end reads back, whatever they have", () => {
    const id = fc.stringMatching(/^[0-9a-f]{8}$/).filter((text) => !/^0+$/.test(text));
    const beginning = fc.record({
      isDefined: fc.boolean(),
      kind: fc.nat(SPAN_KINDS.length - 1),
      isAsync: fc.boolean(),
      depth: fc.nat(0xffff),
      parent: fc.nat(0xffff_ffff),
      remote: fc.option(fc.tuple(id, id), { nil: undefined }),
      properties: fc.option(fc.dictionary(fc.constantFrom("a", "b"), fc.integer()), {
        nil: undefined,
      }),
      ended: fc.dictionary(fc.constantFrom("c", "d"), fc.boolean()),
    });
    fc.assert(
      fc.property(beginning, (given) => {
        const ring = new TestRing();
        const definition = given.isDefined
          ? ring.interner.define(DEFINITION.span, "query", ...PLACED)
          : 0;
        const { encoder } = ring;
        encoder.reset();
        let flags = 0;
        if (given.remote !== undefined) {
          flags |= EVENT_FLAGS.remoteParent;
          encoder.id(Number.parseInt(given.remote[0], 16), Number.parseInt(given.remote[1], 16));
        }
        if (!given.isDefined) encoder.text("query").text(PLACED[0]).text(PLACED[1]);
        if (given.properties !== undefined) {
          flags |= EVENT_FLAGS.properties;
          encoder.properties(given.properties);
        }
        const shape = shapeOf(given.kind, given.isAsync ? SPAN_BITS.asynchronous : 0);
        const trace = { trace0: 1, trace1: -1, trace2: 2, trace3: 3 };
        const begun = { sequence: 9, depth: given.depth, shape, ...trace };
        const parent = given.remote === undefined ? given.parent : 0;
        ring.writer.begin(definition, parent, begun, encoder, flags);
        encoder.reset().properties(given.ended);
        ring.writer.endWith(9, 1, encoder);
        const local = parent.toString(16).padStart(8, "0");
        const spanId = "0123456700000009";
        expect(readAll(ring.reader())).toMatchObject([
          {
            kind: "begin",
            name: "query",
            target: PLACED[0],
            place: PLACED[1],
            spanKind: SPAN_KINDS[given.kind]!,
            isAsync: given.isAsync,
            depth: given.depth,
            spanId,
            parentId: given.remote?.join("") ?? (parent === 0 ? undefined : `01234567${local}`),
            traceId: "00000001ffffffff0000000200000003",
            properties: { ...given.properties },
          },
          { kind: "end", spanId, status: "error", properties: { ...given.ended } },
        ]);
      }),
    );
  });

  test("tells where events were refused, and how many of each kind, once there is room again", () => {
    const ring = new TestRing();
    const reader = ring.reader();
    const span = ring.interner.define(DEFINITION.span, "query", "", "");
    let begun = 0;
    while (ring.begin(span)) begun++;
    ring.begin(span);
    ring.log("there is room for logs");
    ring.writer.failed();
    const before = readAll(reader);
    expect(before).toHaveLength(begun + 1);
    ring.shipAll();
    ring.log("after");
    ring.log("and on");
    expect(readAll(reader)).toMatchObject([
      { kind: "gap", spans: 2, measures: 0, logs: 0, severe: 0, failed: 1 },
      { kind: "log", message: "after" },
      { kind: "log", message: "and on" },
    ]);
    const [gap] = readAll(ring.reader()).filter(({ kind }) => kind === "gap");
    expect(gap!.timeMs).toBeGreaterThan(before.at(-1)!.timeMs);
  });

  test("with a kind of span that there is not is damaged", () => {
    const ring = new TestRing();
    const trace = { trace0: 1, trace1: 2, trace2: 3, trace3: 4 };
    ring.writer.begin(1, 0, { sequence: 1, depth: 0, shape: shapeOf(77, 0), ...trace });
    expect(readAll(ring.reader())).toMatchObject([{ kind: "damaged" }]);
  });
});

describe("traces that are kept", () => {
  test("are the same ones for whoever knows their ids, and as many as were asked for", () => {
    const ids = Array.from({ length: 10_000 }, (_, i) => Math.imul(i, 0x9e37_79b1));
    const kept = (share: number) =>
      ids.filter((low) => isSampled(low, sampleThreshold(share))).length;
    expect(kept(0)).toBe(0);
    expect(kept(1)).toBe(ids.length);
    expect(kept(1 / 16)).toBeCloseTo(ids.length / 16, -2);
    // One that is kept at a small share is so at each larger one.
    const threshold = sampleThreshold(1 / 16);
    const few = ids.filter((low) => isSampled(low, threshold));
    expect(few.every((low) => isSampled(low, sampleThreshold(1 / 8)))).toBe(true);
    expect(sampleThreshold(1e-12)).toBe(1);
  });

  test("are chosen by what stands in a page of its own, apart from the position", () => {
    const line = (offset: number) => Math.floor(offset / 64);
    expect(line(RING_SHIPPER.total)).toBe(line(RING_SHIPPER.position));
    const { controlVersion, level, spans, measures, sample, untilUnixMs } = RING_SHIPPER;
    const controls = [controlVersion, level, spans, measures, sample, untilUnixMs];
    expect(new Set(controls.map(line))).toEqual(new Set([1]));
    expect(untilUnixMs % 8).toBe(0);
  });
});

describe("a damaged ring", () => {
  test("is read to its end without an error, whatever its bytes are", () => {
    const sound = filled().bytes;
    const from = SMALL.stateOffset;
    const places = fc.oneof(
      // The head, the position, definitions and the first records: where damage does most.
      fc.nat(64).map((at) => at),
      fc.nat(64).map((at) => SMALL.shipperOffset - from + at),
      fc.nat(4095).map((at) => SMALL.definitionsOffset - from + at),
      fc.nat(9000).map((at) => SMALL.ringOffset - from + at),
    );
    const damage = fc.array(fc.tuple(places, fc.nat(255)), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(damage, (changes) => {
        const bytes = sound.slice();
        for (const [at, value] of changes) bytes[from + at] = value;
        const reader = readerOf(bytes);
        const events = readAll(reader);
        // Nothing costs more than what is there: a record has a word at least.
        expect(events.length).toBeLessThan(SMALL.ringBytes / 8 + 10);
        void reader.refusals;
        expect(readerOf(bytes).leave(100)).toBeNumber();
        expect(() => JSON.stringify(events)).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });

  test("tells of a record that does not belong where it is, and goes on behind the head", () => {
    const ring = filled();
    const reader = ring.reader();
    ring.bytes.fill(0, SMALL.ringOffset + 32, SMALL.ringOffset + 64);
    const events = readAll(reader);
    expect(events.map(({ kind }) => kind)).toEqual(["damaged"]);
    ring.log("later");
    expect(readAll(reader)).toMatchObject([{ kind: "log", message: "later" }]);
  });

  test("tells of a head that is further away than the ring is long", () => {
    const bytes = emptyRing();
    new DataView(bytes.buffer).setUint32(SMALL.stateOffset, SMALL.ringBytes / 8 + 1, true);
    expect(readAll(readerOf(bytes))).toMatchObject([{ kind: "damaged" }]);
  });
});

describe("a reader of a ring", () => {
  test("that begins later reads the same as one that was there from the beginning", () => {
    const ring = filled();
    const first = ring.reader();
    const early = readAll(first);
    ring.log("later");
    const late = readAll(ring.reader());
    expect([...early, ...readAll(first)]).toEqual(late);
  });

  test("that is too slow says what it has missed, and reads on", () => {
    const ring = new TestRing();
    const reader = ring.reader();
    ring.log("read");
    expect(readAll(reader)).toHaveLength(1);
    ring.log("missed");
    ring.shipAll();
    ring.log("read again");
    const events = readAll(reader);
    expect(events).toMatchObject([{ kind: "missed" }, { kind: "log", message: "read again" }]);
  });

  test("drops what was given to the writer while it was copied", () => {
    const ring = new TestRing();
    ring.log("first");
    const header = decodeRingHeader(ring.bytes, ring.bytes.length);
    let isShipped = false;

    const reader = new RingReader(header, (offset, length) => {
      const copy = ring.bytes.slice(offset, offset + length);
      if (offset >= SMALL.ringOffset && !isShipped) {
        isShipped = true;
        ring.shipAll();
      }
      return copy;
    });
    expect(readAll(reader)).toMatchObject([{ kind: "missed" }]);
  });

  test("tells when the clock was set, and keeps the order", () => {
    const ring = new TestRing();
    ring.log("before");
    ring.clock.setByMs = -3_600_000;
    // An anchor is written each second, a thousand looks at this clock.
    for (let i = 0; i < 1000; i++) ring.clock.ticks();
    ring.log("after");
    const events = readAll(ring.reader());
    expect(events.map(({ kind }) => kind)).toEqual(["log", "clock", "log"]);
    expect(events[1]).toMatchObject({ stepMs: -3_600_000 });
  });
});
