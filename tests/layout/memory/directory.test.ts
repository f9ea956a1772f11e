// The directory as readers hold it, against a plain model of what the agent has written; and its compaction.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compactDirectory } from "../../../src/agent/pool/compaction.ts";
import { Directory, LIMITS, RECORD, RecordWriter } from "../../../src/layout/index.ts";
import { factsOf, History, PAGE_CAPACITY, steps } from "../../support/history.ts";
import { define, placesByName } from "../../support/pools.ts";

function replay(bytes: Uint8Array, epoch = 0): Directory {
  const directory = new Directory(epoch, PAGE_CAPACITY);
  directory.append(bytes);
  return directory;
}

function compacted(directory: Directory): Directory {
  const records = compactDirectory(directory, new RecordWriter());
  return replay(records.bytes.bytes(), directory.epoch + 1);
}

/** What each writer has, in its order. */
function held(directory: Directory) {
  return [...directory.writers.values()].map((writer) => ({
    ...writer,
    grants: writer.grants,
    runs: writer.runs,
  }));
}

/** A directory with one service, to which a test adds. */
function started(): RecordWriter {
  return new RecordWriter().service(1, "auth");
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
const wholePage = (id: number, page: number) => ({ writer: id, page, pages: 1, slot: 0, slots: 0 });

describe("a directory", () => {
  test("knows after any history what the history says", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const history = new History(given);
        const directory = replay(history.bytes);
        expect(directory.damage).toEqual([]);
        expect(factsOf(directory)).toEqual(history.facts());
        expect(directory.lastId).toEqual(history.lastId);
        expect(directory.seriesCount).toBe(history.lastId.series);
        expect(directory.length).toBe(history.bytes.length);
      }),
      { numRuns: 300 },
    );
  });

  test("is the same however the log came in, commit by commit", () => {
    const cuts = fc.array(fc.nat(10_000), { maxLength: 20 });
    fc.assert(
      fc.property(steps, cuts, (given, chosen) => {
        const { bytes, ends } = new History(given);
        const places = chosen.map((cut) => ends[cut % ends.length]!).sort((a, b) => a - b);
        const directory = new Directory(0, PAGE_CAPACITY);
        for (const [i, end] of [...places, bytes.length].entries()) {
          directory.append(bytes.subarray(places[i - 1] ?? 0, end));
        }
        const atOnce = replay(bytes);
        expect(factsOf(directory)).toEqual(factsOf(atOnce));
        expect(directory.valueCount).toBe(atOnce.valueCount);
        expect(held(directory)).toEqual(held(atOnce));
        expect(directory.log).toEqual(atOnce.log);
      }),
      { numRuns: 200 },
    );
  });

  test("gives every series that was ever bound values of its own, and its runs point there", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const directory = replay(new History(given).bytes);
        const taken = new Set<number>();
        for (let id = 1; id <= directory.lastId.series; id++) {
          const first = directory.valueIndexOf(id);
          if (first < 0) continue;
          for (let i = 0; i < directory.metricOf(id)!.slots; i++) taken.add(first + i);
        }
        expect(taken.size).toBe(directory.valueCount);
        expect(Math.max(-1, ...taken)).toBe(directory.valueCount - 1);
        for (const { runs } of directory.writers.values()) {
          for (const run of runs) {
            for (let i = 0; i < run.count; i++) {
              expect(directory.valueIndexOf(run.firstSeries + i)).toBe(
                run.valueIndex + i * run.metric.slots,
              );
            }
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  test("joins bindings that follow each other into one run", () => {
    const records = started().metric(1, 1, define.counter("c", ["a"]));
    for (let id = 1; id <= 100; id++) records.series(id, 1, [`${id}`]);
    records.writer(writer(1)).grant(wholePage(1, 0));
    for (let id = 1; id <= 100; id++) {
      records.bind({ writer: 1, firstSeries: id, count: 1, page: 0, slot: id - 1 });
    }
    const { runs } = replay(records.bytes.bytes()).writers.get(1)!;
    expect(runs).toHaveLength(1);
    expect(runs[0]).toMatchObject({ firstSeries: 1, count: 100, page: 0, slot: 0, valueIndex: 0 });
  });

  test("says nothing of series that do not exist", () => {
    const directory = replay(started().bytes.bytes());
    for (const id of [0, 1, 63, 64, 1e9, -1, 0.5]) {
      expect(directory.metricOf(id)).toBeUndefined();
      expect(directory.labelValues(id)).toEqual([]);
      expect(directory.valueIndexOf(id)).toBe(-1);
    }
  });
});

describe("a damaged directory", () => {
  const base = () =>
    started()
      .metric(1, 1, define.counter("c", ["a"]))
      .metric(2, 1, define.counter("d", ["a"]))
      .series(1, 1, ["x"])
      .series(2, 1, ["y"])
      .series(3, 2, ["z"])
      .writer(writer(1))
      .grant(wholePage(1, 0));

  const wrong: [string, RegExp, (records: RecordWriter) => void][] = [
    ["a service out of order", /service id 7 does not follow 1/, (r) => r.service(7, "x")],
    ["a service without a number", /service id 0/, (r) => r.service(0, "x")],
    ["a metric out of order", /metric id 9/, (r) => r.metric(9, 1, define.counter("e"))],
    ["a metric of nobody", /unknown service 5/, (r) => r.metric(3, 5, define.counter("e"))],
    ["a series out of order", /series id 900/, (r) => r.series(900, 1, ["x"])],
    ["a series once more", /series id 3/, (r) => r.series(3, 1, ["x"])],
    ["a series of nothing", /unknown metric/, (r) => r.series(4, 8, ["x"])],
    ["a metric once more", /c is there twice/, (r) => r.metric(3, 1, define.counter("c", ["a"]))],
    ["a metric otherwise", /c is there twice: kind/, (r) => r.metric(3, 1, define.gauge("c"))],
    ["labels once more", /c whose labels another has/, (r) => r.series(4, 1, ["x"])],
    ["a series with too few labels", /bytes needed|not UTF-8|text of/, (r) => r.series(4, 1, [])],
    ["a writer twice", /writer 1 of service 1/, (r) => r.writer(writer(1))],
    ["a writer without a number", /writer 0/, (r) => r.writer(writer(0))],
    ["a writer of nobody", /of service 4/, (r) => r.writer({ ...writer(2), service: 4 })],
    ["a grant to nobody", /writer 9 is unknown/, (r) => r.grant(wholePage(9, 1))],
    ["a grant beyond the pool", /do not exist/, (r) => r.grant(wholePage(1, PAGE_CAPACITY))],
    ["a grant of no page", /do not exist/, (r) => r.grant({ ...wholePage(1, 1), pages: 0 })],
    [
      "a grant of more pages than there are",
      /do not exist/,
      (r) => r.grant({ ...wholePage(1, 1), pages: 0xffff_ffff }),
    ],
    [
      "a grant beyond a page's end",
      /do not exist/,
      (r) => r.grant({ ...wholePage(1, 1), slot: 500, slots: 8 }),
    ],
    [
      "a binding beyond a page's end",
      /slots 503 to 505/,
      (r) => r.bind({ writer: 1, firstSeries: 1, count: 2, page: 0, slot: 503 }),
    ],
    [
      "a binding beyond the pool",
      /of page 64 are bound/,
      (r) => r.bind({ writer: 1, firstSeries: 1, count: 1, page: PAGE_CAPACITY, slot: 0 }),
    ],
    [
      "a binding of nothing",
      /bound and unknown/,
      (r) => r.bind({ writer: 1, firstSeries: 1, count: 0, page: 0, slot: 0 }),
    ],
    [
      "a binding of an unknown series",
      /series 99 is bound and unknown/,
      (r) => r.bind({ writer: 1, firstSeries: 99, count: 1, page: 0, slot: 0 }),
    ],
    [
      "a binding across two metrics",
      /goes beyond metric c/,
      (r) => r.bind({ writer: 1, firstSeries: 1, count: 3, page: 0, slot: 0 }),
    ],
    [
      "a binding of four billion series",
      /are bound/,
      (r) => r.bind({ writer: 1, firstSeries: 1, count: 0xffff_ffff, page: 0, slot: 0 }),
    ],
    ["what was not granted taken back", /was not granted/, (r) => r.ungrant(1, 5, 0)],
    ["an unknown metric retired", /unknown metric/, (r) => r.retire(77)],
  ];

  test.each(wrong)("with %s names the place and goes on", (_, reason, forge) => {
    const records = base();
    const at = records.bytes.length;
    forge(records);
    records.service(2, "after");
    const directory = replay(records.bytes.bytes());
    expect(directory.damageCount).toBe(1);
    expect(directory.damage[0]!.offset).toBe(at);
    expect(directory.damage[0]!.reason).toMatch(reason);
    expect(directory.services.get(2)).toBe("after");
  });

  test("with a label value that is not UTF-8 does not have that series", () => {
    const records = base();
    const at = records.bytes.length;
    records.series(4, 1, ["ab"]);
    const bytes = records.bytes.bytes();
    bytes.set([0xc3, 0x28], at + 18);
    reseal(bytes, at);
    const directory = replay(bytes);
    expect(directory.damage).toEqual([{ offset: at, reason: "a text that is not UTF-8" }]);
    expect(directory.metricOf(4)).toBeUndefined();
  });

  test("with a flipped bit loses that record and no other", () => {
    const records = base();
    const at = records.bytes.length;
    records.writer(writer(2)).writer(writer(3));
    const bytes = records.bytes.bytes();
    bytes[at + 20]! ^= 4;
    const directory = replay(bytes);
    expect(directory.damage).toEqual([
      { offset: at, reason: `a record of type ${RECORD.writer} whose checksum does not match` },
    ]);
    expect([...directory.writers.keys()]).toEqual([1, 3]);
  });

  test.each([0, 0xffff])(
    "with a record of %p words ends there, and reads later commits",
    (words) => {
      const records = base();
      const at = records.bytes.length;
      records.writer(writer(2));
      const bytes = records.bytes.bytes();
      new DataView(bytes.buffer, bytes.byteOffset).setUint16(at + 2, words, true);
      const directory = replay(bytes);
      expect(directory.damage).toHaveLength(1);
      expect(directory.damage[0]!.offset).toBe(at);
      directory.append(new RecordWriter().writer(writer(3)).bytes.bytes());
      expect([...directory.writers.keys()]).toEqual([1, 3]);
    },
  );

  test("keeps the first hundred places and counts the rest", () => {
    const records = started();
    for (let i = 0; i < 1000; i++) records.retire(7);
    const directory = replay(records.bytes.bytes());
    expect(directory.damage).toHaveLength(100);
    expect(directory.damageCount).toBe(1000);
  });

  const contradictions: [string, RegExp, (records: RecordWriter) => void][] = [
    ["a service once more", /"auth" is there twice/, (r) => r.service(2, "auth")],
    [
      "a page that somebody has granted",
      /granted already/,
      (r) => r.writer(writer(2)).grant(wholePage(2, 0)),
    ],
    [
      "part of a page that somebody has granted",
      /granted already/,
      (r) => r.writer(writer(2)).grant({ ...wholePage(2, 0), slot: 496, slots: 8 }),
    ],
    [
      "slots of somebody else bound",
      /not granted/,
      (r) => r.writer(writer(2)).bind({ writer: 2, firstSeries: 1, count: 1, page: 0, slot: 0 }),
    ],
    [
      "slots behind those granted bound",
      /not granted/,
      (r) =>
        r
          .grant({ ...wholePage(1, 1), slot: 8, slots: 8 })
          .bind({ writer: 1, firstSeries: 1, count: 2, page: 1, slot: 15 }),
    ],
    [
      "a slot bound twice",
      /bound twice/,
      (r) =>
        r
          .bind({ writer: 1, firstSeries: 1, count: 2, page: 0, slot: 0 })
          .bind({ writer: 1, firstSeries: 3, count: 1, page: 0, slot: 1 }),
    ],
  ];

  for (const [what, reason, forge] of contradictions) {
    test(`with ${what} keeps what was said first`, () => {
      const records = base();
      forge(records);
      const directory = replay(records.bytes.bytes());
      expect(directory.damageCount).toBe(1);
      expect(directory.damage[0]!.reason).toMatch(reason);
      expect(directory.writers.get(1)!.grants[0]).toMatchObject({ page: 0 });
      expect(directory.services.get(1)).toBe("auth");
    });
  }

  test("may bind slots again that were taken back, and loses what was bound there", () => {
    const records = base()
      .bind({ writer: 1, firstSeries: 1, count: 2, page: 0, slot: 0 })
      .ungrant(1, 0, 0)
      .grant(wholePage(1, 0))
      .bind({ writer: 1, firstSeries: 3, count: 1, page: 0, slot: 1 })
      .writer(writer(2))
      .grant(wholePage(2, 1))
      .bind({ writer: 2, firstSeries: 1, count: 1, page: 1, slot: 0 })
      .release(2)
      .writer(writer(3))
      .grant(wholePage(3, 1))
      .bind({ writer: 3, firstSeries: 2, count: 1, page: 1, slot: 0 });
    const { damage, writers } = replay(records.bytes.bytes());
    expect(damage).toEqual([]);
    const runs = [...writers.values()].map((each) =>
      each.runs.map(({ firstSeries, count, page, slot }) => [firstSeries, count, page, slot]),
    );
    expect(runs).toEqual([[[3, 1, 0, 1]], [[2, 1, 1, 0]]]);
  });

  test("cannot make a reader hold more values than four times the pool's slots", () => {
    const records = started().metric(
      1,
      1,
      define.histogram(
        "h",
        Array.from({ length: LIMITS.boundsPerHistogram }, (_, i) => i),
        ["n"],
      ),
    );
    for (let id = 1; id <= 2000; id++) {
      records.series(id, 1, [`${id}`]);
      records.writer(writer(id)).grant(wholePage(id, 0));
      records.bind({ writer: id, firstSeries: id, count: 1, page: 0, slot: 0 }).release(id);
    }
    const directory = replay(records.bytes.bytes());
    expect(directory.valueCount).toBeLessThanOrEqual(PAGE_CAPACITY * 504 * 4);
    expect(directory.damage[0]!.reason).toMatch(/more series are bound than the pool can hold/);
  });
});

describe("a compacted directory", () => {
  test("keeps each writer's places, by metric and labels", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const before = replay(new History(given).bytes);
        const after = compacted(before);
        expect(after.damage).toEqual([]);
        expect(placesByName(after)).toEqual(placesByName(before));
      }),
      { numRuns: 300 },
    );
  });

  test("keeps services, writers, their grants and flags, and the last writer's id", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const before = replay(new History(given).bytes);
        const after = compacted(before);
        const people = (directory: Directory) =>
          [...directory.writers.values()].map(({ runs: _, service: __, ...writer }) => writer);
        expect(people(after)).toEqual(people(before));
        expect([...after.services.values()]).toEqual([...before.services.values()]);
        expect(after.lastId.writer).toBe(before.lastId.writer);
      }),
      { numRuns: 200 },
    );
  });

  test("keeps every metric that is not retired, and the series that can still count", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const before = replay(new History(given).bytes);
        const after = compacted(before);
        const names = (directory: Directory) =>
          [...directory.metrics.values()]
            .filter(({ retired }) => !retired)
            .map(({ definition, series }) => ({
              definition,
              series:
                definition.kind === "gauge" ? [] : series.map((id) => directory.labelValues(id)),
            }));
        expect(names(after)).toEqual(names(before));
        expect([...after.metrics.values()].every(({ retired }) => !retired)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test("does not change when it is compacted again", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const once = compacted(replay(new History(given).bytes));
        const twice = compacted(once);
        expect(factsOf(twice)).toEqual(factsOf(once));
      }),
      { numRuns: 200 },
    );
  });

  test("forgets gauges that nobody holds, and retired metrics", () => {
    const records = started()
      .metric(1, 1, define.gauge("g", "sum", ["pod"]))
      .metric(2, 1, define.counter("old"))
      .series(1, 1, ["gone"])
      .series(2, 1, ["here"])
      .series(3, 2, [])
      .writer(writer(1))
      .grant(wholePage(1, 0))
      .bind({ writer: 1, firstSeries: 1, count: 3 - 1, page: 0, slot: 0 })
      .writer(writer(2))
      .grant(wholePage(2, 1))
      .bind({ writer: 2, firstSeries: 2, count: 1, page: 1, slot: 0 })
      .release(1)
      .retire(2);
    const after = compacted(replay(records.bytes.bytes()));
    expect([...after.metrics.values()].map(({ definition }) => definition.name)).toEqual(["g"]);
    expect(after.seriesCount).toBe(1);
    expect(after.labelValues(1)).toEqual(["here"]);
  });
});

/** Gives a record that was tampered with the checksum that it needs to be looked at. */
function reseal(bytes: Uint8Array, at: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const end = at + view.getUint16(at + 2, true) * 8;
  view.setUint32(at + 4, Bun.hash.crc32(bytes.subarray(at + 8, end)), true);
}
