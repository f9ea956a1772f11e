// A writer that dies between any two of its stores, of any kind of record: what is read is what was recorded before.

import { expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { shapeOf } from "../../../src/client/events/ring-writer.ts";
import {
  DEFINITION,
  EVENT_FLAGS,
  RING_SHIPPER,
  type RingEvent,
} from "../../../src/layout/index.ts";
import { emptyRing, memoryOf, readAll, readerOf, SMALL, TestRing } from "../../support/rings.ts";

interface Store {
  view: Int32Array | Float64Array;
  at: number;
  value: number;
}

/** Each kind of record, with and without what may follow its fixed words. */
const RECORDS: readonly ((ring: TestRing, n: number) => void)[] = [
  (ring, n) => ring.log(`line ${n % 3}`, n % 6),
  (ring, n) => {
    ring.encoder
      .reset()
      .text("x".repeat(n % 90))
      .properties({ n, list: [n] });
    ring.writer.log(3, 0, n, 0, ring.encoder, EVENT_FLAGS.properties);
  },
  (ring, n) => ring.writer.measure(defined(ring, DEFINITION.measure), n),
  (ring, n) => {
    ring.encoder.reset().text("m").text("ms").text("").text("").properties({ n });
    ring.writer.measureWith(0, n, ring.encoder, EVENT_FLAGS.properties);
  },
  (ring, n) => ring.begin(defined(ring, DEFINITION.span), n + 1, n),
  (ring, n) => {
    const { encoder } = ring;
    encoder.reset().id(n, n).text("span").text("t").text("p").properties({ n });
    const trace = { trace0: 1, trace1: 2, trace2: 3, trace3: n };
    const begun = { sequence: n + 1, depth: 0, shape: shapeOf(1, 1), ...trace };
    const flags = EVENT_FLAGS.properties | EVENT_FLAGS.remoteParent;
    ring.writer.begin(0, 0, begun, encoder, flags);
  },
  (ring, n) => ring.writer.end(n + 1, n % 2),
  (ring, n) => ring.writer.endWith(n + 1, n % 2, ring.encoder.reset().properties({ n })),
  // Told of by a record of its own.
  (ring) => ring.writer.failed(),
];

function defined(ring: TestRing, kind: number): number {
  const texts = kind === DEFINITION.span ? ["span", "t", "p"] : ["m", "ms", "t", "p"];
  return ring.interner.define(kind, ...texts);
}

/** Records so many events after a lap that is nearly full, and gives each store, and how many there were after each. */
function watched(choices: readonly number[]) {
  const bytes = emptyRing();
  const memory = memoryOf(bytes);
  const stores: Store[] = [];
  const store = (view: Int32Array | Float64Array, at: number, value: number) => {
    stores.push({ view, at, value });
    view[at] = value;
  };
  const watch = <View extends Int32Array | Float64Array>(view: View): View =>
    new Proxy(view, {
      get: (target, key) => Reflect.get(target, key, target),
      set(target, key, value) {
        store(target, Number(key), value);
        return true;
      },
    });
  const ends: number[] = [];
  // Its own look at who ships is all that a writer does with Atomics here.
  const load = spyOn(Atomics, "load").mockImplementation(
    ((_view: unknown, at: number) => memory.ints[at]) as never,
  );
  try {
    const ring = new TestRing({}, { ints: watch(memory.ints), doubles: watch(memory.doubles) });
    for (let i = 0; i < 3; i++) ring.log(`${i} ${"x".repeat(43_400)}`, 1);
    // All of that is done with: what follows has room, and goes over the end of the lap.
    const head = memory.ints[SMALL.stateOffset / 4]!;
    store(memory.doubles, (SMALL.shipperOffset + RING_SHIPPER.total) / 8, head);
    store(memory.ints, (SMALL.shipperOffset + RING_SHIPPER.position) / 4, head);
    const start = stores.length;
    for (const [n, choice] of choices.entries()) {
      RECORDS[choice]!(ring, n);
      ends.push(stores.length);
    }
    return { stores, start, ends };
  } finally {
    load.mockRestore();
  }
}

test("leaves each record whose call has returned, and none in part", () => {
  const choices = fc.array(fc.nat(RECORDS.length - 1), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(choices, (chosen) => {
      const { stores, start, ends } = watched(chosen);
      const image = emptyRing();
      const views = memoryOf(image);
      const apply = ({ view, at, value }: Store) => {
        if (view instanceof Float64Array) views.doubles[at] = value;
        else views.ints[at] = value;
      };
      const seen = () => readAll(readerOf(image)).map((event) => JSON.stringify(event));
      for (const store of stores.slice(0, start)) apply(store);
      const states: string[][] = [seen()];
      const afterCalls: string[][] = [];
      for (const [i, store] of stores.slice(start).entries()) {
        apply(store);
        states.push(seen());
        if (ends.includes(start + i + 1)) afterCalls.push(states.at(-1)!);
      }
      const last = states.at(-1)!;
      for (const state of states) expect(state).toEqual(last.slice(0, state.length));
      expect(last.filter((event) => ["damaged", "missed"].includes(kindOf(event)))).toEqual([]);
      // All were recorded: a failure by the next one.
      const failures = chosen.filter((choice) => choice === RECORDS.length - 1).length;
      const kinds = last.map(kindOf);
      expect(kinds.filter((kind) => kind !== "gap" && kind !== "clock")).toHaveLength(
        chosen.length - failures,
      );
      // A call adds its record by its last store, whatever it writes besides.
      for (const [before, after] of afterCalls
        .slice(1)
        .map((after, i) => [afterCalls[i]!, after])) {
        expect(after!.length - before!.length).toBeLessThanOrEqual(2);
      }
    }),
    { numRuns: 60 },
  );
});

function kindOf(event: string): RingEvent["kind"] {
  return (JSON.parse(event) as RingEvent).kind;
}
