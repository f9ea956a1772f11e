// From pages to values: which pages a reader fetches, and what the slots of several writers come to.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  Directory,
  Gather,
  PAGE_HEADER_SLOTS,
  planBytes,
  poolKey,
  type ReadPlan,
  RecordWriter,
  SLOTS_PER_PAGE_STRIDE,
  type Structure,
  Structures,
  snapshotIndex,
  type Wants,
  WRITER_FLAGS,
} from "../../../src/layout/index.ts";
import { History, PAGE_CAPACITY, steps } from "../../support/history.ts";
import { define } from "../../support/pools.ts";

function replay(records: RecordWriter): Directory {
  const directory = new Directory(0, PAGE_CAPACITY);
  directory.append(records.bytes.bytes());
  expect(directory.damage).toEqual([]);
  return directory;
}

/** All pages of a pool, as 512 slots each. */
function emptyPages(): Float64Array {
  return new Float64Array(PAGE_CAPACITY * SLOTS_PER_PAGE_STRIDE);
}

function at(page: number, slot: number): number {
  return page * SLOTS_PER_PAGE_STRIDE + PAGE_HEADER_SLOTS + slot;
}

/** What a transport brings for a plan. */
function fetch(plan: ReadPlan, pages: Float64Array): Float64Array {
  const slots = new Float64Array(planBytes(plan) / 8);
  let position = 0;
  for (const { first, count } of plan.ranges) {
    const part = pages.subarray(first, first + count);
    slots.set(part, position);
    position += part.length;
  }
  return slots;
}

function structureOf(
  records: RecordWriter,
  options: ConstructorParameters<typeof Structures>[0] = {},
): Structure {
  return new Structures(options).of(replay(records));
}

function gather(structure: Structure, slots: Float64Array): Float64Array {
  // What was there before does not show.
  const values = new Float64Array(structure.valueCount).fill(12345);
  new Gather(structure).into(slots, values);
  return values;
}

/** The values of a series, computed the obvious way. */
function naive(directory: Directory, pages: Float64Array, series: number): number[] {
  const { definition, slots } = directory.metricOf(series)!;
  const held: number[][] = [];
  for (const writer of directory.writers.values()) {
    const place = directory.find(writer, series);
    if (place === undefined) continue;
    const first = at(place.page, place.slot);
    held.push([...pages.subarray(first, first + slots)]);
  }
  if (definition.combine === "sum") {
    const absent = definition.kind === "gauge" && held.length === 0 ? Number.NaN : 0;
    return Array.from({ length: slots }, (_, i) => held.reduce((sum, v) => sum + v[i]!, absent));
  }
  const set = held.filter(([value]) => !Number.isNaN(value));
  if (set.length === 0) return new Array<number>(slots).fill(Number.NaN);
  const firsts = set.map(([value]) => value!);
  switch (definition.combine) {
    case "mean":
      return [firsts.reduce((sum, value) => sum + value, 0) / firsts.length];
    case "min":
      return [Math.min(...firsts)];
    case "max":
      return [Math.max(...firsts)];
    case "last":
      return set.reduce((latest, given) => (given[1]! > latest[1]! ? given : latest));
  }
}

/** A pool's pages with numbers in every slot, some of them NaN where a gauge may be absent. */
function fill(directory: Directory, seed: number): Float64Array {
  const pages = emptyPages();
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < pages.length; i++) pages[i] = Math.floor(next() * 1000);
  for (const writer of directory.writers.values()) {
    for (const run of writer.runs) {
      if (run.metric.definition.combine === "sum") continue;
      for (let i = 0; i < run.count; i++) {
        if (next() < 0.4) pages[at(run.page, run.slot + i * run.metric.slots)] = Number.NaN;
      }
    }
  }
  return pages;
}

const writer = (id: number) => ({
  id,
  service: 1,
  flags: 0,
  pid: 1,
  threadId: 1,
  startedAtMs: 0,
  lockOffset: 64,
  lockBytes: 4032,
});

/** So many writers of one metric of one series, each on a page of its own with its slots at 0. */
function writersOf(definition: ReturnType<typeof define.gauge>, count: number): RecordWriter {
  const records = new RecordWriter().service(1, "auth").metric(1, 1, definition).series(1, 1, []);
  for (let id = 1; id <= count; id++) {
    records
      .writer(writer(id))
      .grant({ writer: id, page: id - 1, pages: 1, slot: 0, slots: 0 })
      .bind({ writer: id, firstSeries: 1, count: 1, page: id - 1, slot: 0 });
  }
  return records;
}

describe("a read plan", () => {
  test("brings each slot that is bound once, and between its ranges nothing that is worth a longer one", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const directory = replay(new History(given).records);
        const { plan } = new Structures().of(directory);
        const planned = plan.ranges.flatMap(({ first, count }) =>
          Array.from({ length: count }, (_, i) => first + i),
        );
        const place = new Map(planned.map((slot, i) => [slot, i]));
        expect(place.size).toBe(planned.length);
        expect(plan.slotCount).toBe(planned.length);
        expect(planBytes(plan)).toBe(planned.length * 8);
        const pages = new Set<number>();
        for (const { runs } of directory.writers.values()) {
          for (const { page, slot, count, metric } of runs) {
            if (metric.retired) continue;
            pages.add(page);
            for (let i = slot; i < slot + count * metric.slots; i++) {
              expect(snapshotIndex(plan, page, i)).toBe(place.get(at(page, i))!);
            }
          }
        }
        for (let page = 0; page < PAGE_CAPACITY; page++) {
          if (!pages.has(page)) expect(snapshotIndex(plan, page, 0)).toBe(-1);
        }
        for (let i = 1; i < plan.ranges.length; i++) {
          const before = plan.ranges[i - 1]!;
          expect(plan.ranges[i]!.first).toBeGreaterThan(before.first + before.count + 32);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("reads only what is bound of pages that are nearly empty", () => {
    const { plan } = structureOf(writersOf(define.counter("c"), 40));
    expect(plan.ranges).toHaveLength(40);
    expect(plan.ranges[1]).toEqual({ first: at(1, 0), count: 1 });
    expect(plan.slotCount).toBe(40);
  });

  test("is one range for pages in a row when gaps are to be read along", () => {
    const { plan } = structureOf(writersOf(define.counter("c"), 40), { mergeGapSlots: 512 });
    expect(plan.ranges).toEqual([{ first: at(0, 0), count: 39 * SLOTS_PER_PAGE_STRIDE + 1 }]);
  });

  test("is empty where nothing is bound", () => {
    const structure = structureOf(new RecordWriter().service(1, "auth"));
    expect(structure.plan).toMatchObject({ ranges: [], slotCount: 0 });
    expect(gather(structure, new Float64Array())).toEqual(new Float64Array());
  });

  test("leaves out pages of metrics that are not wanted", () => {
    const records = writersOf(define.counter("c"), 5).metric(2, 1, define.counter("other"));
    records.series(2, 2, []).writer(writer(6));
    records.grant({ writer: 6, page: 7, pages: 1, slot: 0, slots: 0 });
    records.bind({ writer: 6, firstSeries: 2, count: 1, page: 7, slot: 0 });
    const wants: Wants = (_, { definition }) => definition.name === "c";
    const structure = structureOf(records, { wants });
    const { plan } = structure;
    expect(plan.ranges.map(({ first }) => first)).toEqual(
      [0, 1, 2, 3, 4].map((page) => at(page, 0)),
    );
    expect(snapshotIndex(plan, 7, 0)).toBe(-1);
    const pages = emptyPages();
    for (let page = 0; page < 8; page++) pages[at(page, 0)] = 10 ** page;
    expect(gather(structure, fetch(plan, pages))[0]).toBe(11_111);
  });

  test("of memory that is mapped whole finds every page where it is", () => {
    fc.assert(
      fc.property(steps, fc.nat(), (given, seed) => {
        const directory = replay(new History(given).records);
        const pages = fill(directory, seed);
        const mapped = new Structures({ isMapped: true }).of(directory);
        const fetched = new Structures().of(directory);
        // As arrays, for a NaN in a Float64Array is not equal to itself.
        expect([...gather(mapped, pages)]).toEqual([
          ...gather(fetched, fetch(fetched.plan, pages)),
        ]);
      }),
      { numRuns: 100 },
    );
  });
});

describe("a snapshot's values", () => {
  test("are what the slots of all writers come to, for every kind of metric", () => {
    fc.assert(
      fc.property(steps, fc.nat(), (given, seed) => {
        const directory = replay(new History(given).records);
        const pages = fill(directory, seed);
        const structure = new Structures().of(directory);
        const values = gather(structure, fetch(structure.plan, pages));
        for (let id = 1; id <= directory.lastId.series; id++) {
          const first = directory.valueIndexOf(id);
          if (first < 0 || directory.metricOf(id)!.retired) continue;
          const expected = naive(directory, pages, id);
          const got = [...values.subarray(first, first + expected.length)];
          for (const [i, value] of expected.entries()) {
            if (Number.isNaN(value)) expect(got[i]).toBeNaN();
            else expect(got[i]!).toBeCloseTo(value, 6);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test("add up what the living and the retained writer have counted", () => {
    const records = writersOf(define.counter("c"), 1)
      .writer({ ...writer(2), flags: WRITER_FLAGS.retained })
      .grant({ writer: 2, page: 9, pages: 1, slot: 0, slots: 0 })
      .bind({ writer: 2, firstSeries: 1, count: 1, page: 9, slot: 7 });
    const pages = emptyPages();
    pages[at(0, 0)] = 40;
    pages[at(9, 7)] = 2;
    const structure = structureOf(records);
    expect(gather(structure, fetch(structure.plan, pages))).toEqual(Float64Array.of(42));
  });

  describe("of a gauge over 4, NaN, 1, 10", () => {
    const combined: [Parameters<typeof define.gauge>[1], number][] = [
      ["mean", 5],
      ["min", 1],
      ["max", 10],
    ];
    test.each(combined)(
      "are its %s, %p, without the writer that has not set it",
      (how, expected) => {
        const structure = structureOf(writersOf(define.gauge("g", how), 4));
        const pages = emptyPages();
        for (const [page, value] of [4, Number.NaN, 1, 10].entries()) pages[at(page, 0)] = value;
        expect(gather(structure, fetch(structure.plan, pages))[0]).toBe(expected);
      },
    );
  });

  test("of a gauge that takes the last value are that value and its time", () => {
    const structure = structureOf(writersOf(define.gauge("g", "last"), 3));
    const pages = emptyPages();
    for (const [page, [value, setAtMs]] of [
      [7, 1000],
      [8, 3000],
      [9, 2000],
    ].entries()) {
      pages.set([value!, setAtMs!], at(page, 0));
    }
    expect(gather(structure, fetch(structure.plan, pages))).toEqual(Float64Array.of(8, 3000));
  });

  test.each(["sum", "mean", "min", "max", "last"] as const)(
    "of a gauge (%s) whose writers are gone are absent, not zero",
    (how) => {
      const records = writersOf(define.gauge("g", how), 2).release(1).release(2);
      const directory = replay(records);
      const values = gather(new Structures().of(directory), new Float64Array());
      expect(directory.valueIndexOf(1)).toBe(0);
      expect(values[0]).toBeNaN();
    },
  );

  test("of a counter whose writers are gone are zero", () => {
    const structure = structureOf(writersOf(define.counter("c"), 1).release(1));
    expect(gather(structure, new Float64Array())).toEqual(Float64Array.of(0));
  });

  test("are the same when the same gather is used again", () => {
    const structure = structureOf(writersOf(define.gauge("g", "mean"), 3));
    const { plan } = structure;
    const again = new Gather(structure);
    const values = new Float64Array(1);
    for (const set of [
      [1, 2, 3],
      [5, 5, 5],
      [Number.NaN, 4, Number.NaN],
    ]) {
      const pages = emptyPages();
      for (const [page, value] of set.entries()) pages[at(page, 0)] = value;
      again.into(fetch(plan, pages), values);
      expect(values[0]).toBe(set.includes(4) ? 4 : set[0] === 5 ? 5 : 2);
    }
  });
});

test("the keys of two pools are the same only when both application and source are", () => {
  const name = fc.oneof(fc.string(), fc.constantFrom("a", "a b", "b", "1 a", ""));
  fc.assert(
    fc.property(name, name, name, name, (app, source, otherApp, otherSource) => {
      const isSame = app === otherApp && source === otherSource;
      const key = poolKey({ source, app });
      expect(key === poolKey({ source: otherSource, app: otherApp })).toBe(isSame);
    }),
  );
});
