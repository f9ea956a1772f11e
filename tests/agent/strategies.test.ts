// The three ways to hand out pages: whatever writers do, nobody shares a slot, and what the dead had is used again.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { STRATEGIES, type StrategyName } from "../../src/agent/registry/strategies/index.ts";
import { type Directory, planRead, SLOT_BYTES, SLOTS_PER_PAGE } from "../../src/layout/index.ts";
import {
  application,
  ask,
  define,
  doubleGrant,
  eachPlace,
  grantedPages,
  overlap,
  Scratch,
  scan,
  TestWriter,
} from "../support/pools.ts";

const scratch = new Scratch();
const NAMES = Object.keys(STRATEGIES) as StrategyName[];
const CACHE_LINE_BYTES = 64;
const SIZES = { pageCapacity: 128, directoryCapacity: 1 << 20, journalCapacity: 1 << 20 };

function start(strategy: StrategyName) {
  const pool = scratch.pool(SIZES);
  return { pool, app: application(pool, { strategy, limits: { seriesPerMetric: 100_000 } }) };
}

/** So many series of a counter. */
function counters(name: string, count: number) {
  return ask(
    define.counter(name, ["n"]),
    Array.from({ length: count }, (_, i) => [`${i}`]),
  );
}

/** The first place that does not lie in one of its writer's grants; undefined when there is none. */
function strayPlace(directory: Directory): string | undefined {
  let stray: string | undefined;
  eachPlace(directory, (writer, metric, _series, page, slot) => {
    const held = writer.grants.some(
      (grant) =>
        page >= grant.page &&
        page < grant.page + grant.pages &&
        (grant.slots === 0 ||
          (slot >= grant.slot && slot + metric.slots <= grant.slot + grant.slots)),
    );
    if (!held) stray ??= `writer ${writer.id} page ${page} slot ${slot}`;
  });
  return stray;
}

const life = fc.array(
  fc.oneof(
    fc.record({ what: fc.constant("attach" as const), who: fc.nat(2) }),
    fc.record({
      what: fc.constant("counters" as const),
      who: fc.nat(20),
      series: fc.integer({ min: 1, max: 700 }),
      name: fc.constantFrom("a", "b", "c"),
    }),
    fc.record({
      what: fc.constant("histogram" as const),
      who: fc.nat(20),
      bounds: fc.constantFrom(1, 10, 100, 500),
    }),
    fc.record({ what: fc.constant("die" as const), who: fc.nat(20) }),
  ),
  { maxLength: 30 },
);

describe.each(NAMES)("the strategy %s", (strategy) => {
  test("never lets two writers share a slot, and loses no page, whatever they do", () => {
    fc.assert(
      fc.property(life, (steps) => {
        const { pool, app } = start(strategy);
        let writers: TestWriter[] = [];
        try {
          for (const step of steps) {
            const writer = writers[step.who % Math.max(1, writers.length)];
            if (step.what === "attach") {
              writers.push(new TestWriter(app, { service: `service ${step.who}` }));
            } else if (writer === undefined) {
              continue;
            } else if (step.what === "counters") {
              app.register(writer.id, [counters(step.name, step.series)]);
            } else if (step.what === "histogram") {
              const bounds = Array.from({ length: step.bounds }, (_, i) => i);
              app.register(writer.id, [ask(define.histogram(`h${step.bounds}`, bounds))]);
            } else {
              writer.die();
              writers = writers.filter((w) => w !== writer);
              scan(app);
            }
            expect(overlap(app.directory)).toBeUndefined();
            expect(doubleGrant(app.directory)).toBeUndefined();
            expect(strayPlace(app.directory)).toBeUndefined();
            expect(app.pagesUsed).toBe(grantedPages(app.directory));
          }
          for (const writer of writers) writer.die();
          scan(app);
          expect(app.writers()).toEqual([]);
          // Nothing was counted, so nothing is retained.
          expect(app.pagesUsed).toBe(0);
        } finally {
          pool.close();
        }
      }),
      { numRuns: 40 },
    );
  });

  test("uses the pages of the dead again", () => {
    const { pool, app } = start(strategy);
    for (let generation = 0; generation < 50; generation++) {
      const writer = new TestWriter(app);
      writer.register(counters("c", 3 * SLOTS_PER_PAGE));
      writer.die();
      expect(scan(app)).toBe(1);
    }
    expect(app.pagesUsed).toBe(0);
    expect(pool.pagesHighWater).toBeLessThanOrEqual(8);
    pool.close();
  });

  test("gives a writer the room that it has left after a restart of the agent", () => {
    const { pool, app } = start(strategy);
    const writer = new TestWriter(app);
    // More than a first share of a page, so that a second one follows.
    writer.register(counters("a", 40));
    const { grants } = writer.record;
    const again = application(pool, { strategy });
    again.register(writer.id, [counters("b", 5)]);
    expect(overlap(again.directory)).toBeUndefined();
    expect(again.writer(writer.id).grants).toEqual(grants);
    writer.die();
    pool.close();
  });
});

describe("the strategy page", () => {
  test("gives each writer whole pages", () => {
    const { pool, app } = start("page");
    for (let i = 0; i < 5; i++) new TestWriter(app).register(counters("c", 600));
    for (const { grants } of app.directory.writers.values()) {
      expect(grants).toHaveLength(2);
      for (const grant of grants) expect(grant).toMatchObject({ pages: 1, slot: 0, slots: 0 });
    }
    pool.close();
  });
});

describe("the strategy packed", () => {
  test("lets writers of one service share a page, and no two services", () => {
    const { pool, app } = start("packed");
    for (let i = 0; i < 15; i++) new TestWriter(app, { service: "auth" });
    expect(app.pagesUsed).toBe(1);
    new TestWriter(app, { service: "cart" });
    expect(app.pagesUsed).toBe(2);
    pool.close();
  });

  test("keeps the cache lines of writers apart", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 2, maxLength: 10 }),
        (needs) => {
          const { pool, app } = start("packed");
          try {
            for (const [i, need] of needs.entries()) {
              new TestWriter(app).register(counters(`c${i % 3}`, need));
            }
            const owner = new Map<number, number>();
            for (const writer of app.directory.writers.values()) {
              for (const { page, slot, slots } of writer.grants) {
                const first = (pool.slotIndexOf(page, slot) * SLOT_BYTES) / CACHE_LINE_BYTES;
                const lines = (slots * SLOT_BYTES) / CACHE_LINE_BYTES;
                expect(Number.isInteger(first) && Number.isInteger(lines)).toBe(true);
                for (let line = first; line < first + lines; line++) {
                  expect(owner.get(line) ?? writer.id).toBe(writer.id);
                  owner.set(line, writer.id);
                }
              }
            }
          } finally {
            pool.close();
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test("frees a shared page when the last of its writers is gone", () => {
    const { pool, app } = start("packed");
    const writers = [new TestWriter(app), new TestWriter(app), new TestWriter(app)];
    for (const [i, writer] of writers.entries()) {
      expect(app.pagesUsed).toBe(1);
      writer.die();
      scan(app);
      expect(app.pagesUsed).toBe(i === 2 ? 0 : 1);
    }
    pool.close();
  });

  test("takes a hundred small replicas in far fewer pages than one each", () => {
    const { pool, app } = start("packed");
    for (let i = 0; i < 100; i++) new TestWriter(app).register(counters("c", 20));
    expect(app.pagesUsed).toBeLessThanOrEqual(7);
    pool.close();
  });
});

describe("the strategy slab", () => {
  test("gives a writer with many series few contiguous runs of pages", () => {
    const { pool, app } = start("slab");
    const writer = new TestWriter(app);
    writer.register(counters("c", 40 * SLOTS_PER_PAGE));
    const { grants, runs } = writer.record;
    expect(grants.length).toBeLessThanOrEqual(2);
    expect(planRead([...app.directory.writers.values()]).ranges).toHaveLength(1);
    expect(runs).toHaveLength(40);
    pool.close();
  });

  test("doubles the runs of a writer that asks little by little", () => {
    const { pool, app } = start("slab");
    const writer = new TestWriter(app);
    for (let i = 0; i < 60; i++) writer.register(counters(`c${i}`, SLOTS_PER_PAGE));
    expect(writer.record.grants.map(({ pages }) => pages)).toEqual([1, 1, 2, 4, 8, 16, 32]);
    pool.close();
  });

  test("falls back to shorter runs where the pool is fragmented", () => {
    const { pool, app } = start("slab");
    const small = Array.from({ length: 100 }, () => new TestWriter(app));
    for (const [i, writer] of small.entries()) if (i % 2 === 0) writer.die();
    scan(app);
    const writer = new TestWriter(app);
    writer.register(counters("c", 60 * SLOTS_PER_PAGE));
    expect(overlap(app.directory)).toBeUndefined();
    expect(doubleGrant(app.directory)).toBeUndefined();
    pool.close();
  });
});
