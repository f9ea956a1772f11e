// Rings whose bytes are anything at all: whatever they say, a reader stays within them, ends, and throws nothing.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeRingHeader,
  encodeRingHeader,
  finishRingHeader,
  RingFormatError,
  RingReader,
} from "../../../src/layout/index.ts";
import { emptyRing, headerOf, readAll, readerOf, SMALL, TestRing } from "../../support/rings.ts";

/** A ring with each kind of record in it. */
function filled(): TestRing {
  const ring = new TestRing();
  for (let i = 0; i < 40; i++) {
    ring.log(`line ${i % 3}`);
    ring.encoder.reset().properties({ route: "/x", list: [1, { deep: "text" }], i });
    ring.writer.measureWith(ring.interner.define(2, "latency", "ms"), i, ring.encoder, 1);
    ring.begin(ring.interner.define(3, "query"), i + 1, i);
    ring.writer.end(i + 1, 0);
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
      fc.property(fc.nat(63), fc.nat(0xffff_ffff), (word, value) => {
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
    expect(() => readerOf(bytes)).toThrow("features that this microview does not know (1)");
    bytes[8] = 9;
    expect(() => readerOf(bytes)).toThrow("it has version 9, and this microview reads 1");
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
