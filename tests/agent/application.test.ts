// One application's life: registration, conflicts, limits, deaths. Totals are computed from the slots themselves.

import { describe, expect, spyOn, test } from "bun:test";
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { AgentError, LimitError } from "../../src/agent/errors.ts";
import { LocalWriters } from "../../src/agent/local-writer.ts";
import { Pool } from "../../src/agent/pool/pool.ts";
import type { StrategyName } from "../../src/agent/registry/strategies/index.ts";
import { SelfMetrics } from "../../src/agent/self-metrics.ts";
import { SharedFile, SystemError } from "../../src/ffi/index.ts";
import {
  countingSince,
  type MetricDefinition,
  SLOT_BYTES,
  SLOTS_PER_PAGE,
} from "../../src/layout/index.ts";
import {
  application,
  ask,
  define,
  errorOf,
  grantedPages,
  overlap,
  places,
  readImage,
  Scratch,
  SMALL,
  scan,
  seriesOf,
  TestWriter,
  Told,
  totals,
} from "../support/pools.ts";

const scratch = new Scratch();
const requests = define.counter("requests_total", ["path"]);
const latency = define.histogram("latency_seconds", [0.1, 1], ["path"]);
const inFlight = define.gauge("in_flight");

function start(options: Parameters<typeof application>[1] = {}, sizes = {}) {
  const told = new Told();
  const pool = scratch.pool({ ...SMALL, ...sizes });
  return { pool, told, app: application(pool, { told, ...options }) };
}

/** Label values 0 to n − 1. */
function paths(count: number, first = 0): string[][] {
  return Array.from({ length: count }, (_, i) => [`/${first + i}`]);
}

/** What a change must not have changed. */
function stateOf({ pool, app }: { pool: Pool; app: ReturnType<typeof application> }) {
  const { length, epoch, lastId } = app.directory;
  return { length, epoch, ...lastId, pages: app.pagesUsed, totals: totals(pool) };
}

describe("attaching", () => {
  test("gives a writer a page of its own, the bytes of which it locks", () => {
    const { pool, told, app } = start();
    const writer = app.attach({ service: "auth", pid: 42, threadId: 7 });
    expect(writer).toMatchObject({ service: 1, serviceName: "auth", pid: 42, threadId: 7 });
    expect(writer.grants).toEqual([{ writer: writer.id, page: 0, pages: 1, slot: 0, slots: 0 }]);
    expect(writer.lockOffset).toBe(pool.slotIndexOf(0, 0) * SLOT_BYTES);
    expect(writer.lockBytes).toBe(SLOTS_PER_PAGE * SLOT_BYTES);
    expect(told.attachedCount).toBe(1);
    pool.close();
  });

  test("never gives a number twice, also after deaths and a restart", () => {
    const { pool, app } = start();
    const ids = new Set<number>();
    for (let i = 0; i < 20; i++) {
      const writer = new TestWriter(i % 2 === 0 ? app : application(pool));
      ids.add(writer.id);
      writer.die();
      scan(application(pool));
    }
    expect(ids.size).toBe(20);
    pool.close();
  });

  test("to a service without a name is the caller's fault", () => {
    const { pool, app } = start();
    const error = errorOf(() => app.attach({ service: "", pid: 1, threadId: 1 }));
    expect(error).toMatchObject({ code: "invalid-metric", status: 422 });
    expect(app.pagesUsed).toBe(0);
    pool.close();
  });
});

describe("registering", () => {
  test("the same again gives the same places and changes nothing", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    const all = [ask(requests, paths(30)), ask(latency, paths(5)), ask(inFlight)];
    const first = app.register(writer.id, all);
    const { length } = app.directory;
    const second = app.register(writer.id, all);
    expect(second.results).toEqual(first.results);
    expect(second).toEqual({ ...first, turn: first.turn + 1 });
    expect(app.directory.length).toBe(length);
    pool.close();
  });

  test("is idempotent whatever is asked for, in whatever portions", () => {
    const portion = fc.record({
      definition: fc.constantFrom(requests, latency, define.counter("errors_total", ["path"])),
      first: fc.nat(60),
      count: fc.integer({ min: 0, max: 20 }),
    });
    fc.assert(
      fc.property(fc.array(portion, { maxLength: 12 }), (portions) => {
        const { pool, app } = start();
        try {
          const writer = new TestWriter(app);
          const known = new Map<string, string>();
          for (const { definition, first, count } of portions) {
            const series = paths(count, first);
            const { results } = app.register(writer.id, [ask(definition, series)]);
            const slots = definition.kind === "counter" ? 1 : 4;
            const given = places(results[0]!, slots);
            expect(given).toHaveLength(series.length);
            for (const [i, { page, slot }] of given.entries()) {
              const key = `${definition.name} ${series[i]}`;
              expect(`${page}:${slot}`).toBe(known.get(key) ?? `${page}:${slot}`);
              known.set(key, `${page}:${slot}`);
            }
          }
          expect(new Set(known.values()).size).toBe(known.size);
          expect(overlap(app.directory)).toBeUndefined();
        } finally {
          pool.close();
        }
      }),
      { numRuns: 60 },
    );
  });

  test("the same twice in one request gives one place", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    const { results } = app.register(writer.id, [
      ask(requests, [["/"], ["/"]]),
      ask(requests, [["/"]]),
    ]);
    const all = results.flatMap((result) => places(result, 1));
    expect(all).toHaveLength(3);
    expect(new Set(all.map(({ page, slot }) => `${page}:${slot}`)).size).toBe(1);
    expect(app.directory.seriesCount).toBe(1);
    pool.close();
  });

  test("tells series apart whose label values look alike when they are put together", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    const pairs = [
      ["a\0b", "c"],
      ["a", "b\0c"],
      ["", "ab"],
      ["ab", ""],
      ["\uFEFFx", ""],
      ["x", ""],
    ];
    const request = ask(define.counter("c", ["one", "two"]), pairs);
    for (const again of [false, true]) {
      const { results } = app.register(writer.id, [request]);
      expect(results[0]!.error).toBeUndefined();
      expect(app.directory.seriesCount, `again: ${again}`).toBe(pairs.length);
    }
    expect(overlap(app.directory)).toBeUndefined();
    pool.close();
  });

  test("gives two writers of one series places of their own, and one series", () => {
    const { pool, app } = start();
    const one = new TestWriter(app);
    const two = new TestWriter(app);
    one.put(requests, ["/"], 3);
    two.put(requests, ["/"], 4);
    expect(app.directory.seriesCount).toBe(1);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [7] });
    pool.close();
  });

  test("keeps services apart that use one name", () => {
    const { pool, app } = start();
    new TestWriter(app, { service: "auth" }).put(requests, ["/"], 3);
    new TestWriter(app, { service: "cart" }).put({ ...requests, unit: "requests" }, ["/"], 4);
    expect(totals(pool)).toEqual({
      'auth/requests_total["/"]': [3],
      'cart/requests_total["/"]': [4],
    });
    pool.close();
  });

  test("for a writer that is not there, or is the agent's own, is an error", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 1);
    writer.die();
    scan(app);
    const keeper = [...app.directory.writers.keys()][0]!;
    for (const id of [writer.id, keeper, 999]) {
      expect(errorOf(() => app.register(id, [])).code).toBe("unknown-writer");
    }
    pool.close();
  });

  test("a metric that breaks a rule is that metric's error and no other's", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    const { logLinear: _, ...withoutOptions } = define.logLinear("unsaid");
    const { results } = app.register(writer.id, [
      ask(requests, [["/"]]),
      ask(define.counter("not a name")),
      ask(withoutOptions),
      ask(requests, [["/a"], ["/", "too many"], ["/b"]]),
      ask(requests, [["x".repeat(1025)]]),
      ask(inFlight),
    ]);
    expect(results.map(({ error }) => error?.code)).toEqual([
      undefined,
      "invalid-metric",
      "invalid-metric",
      "invalid-metric",
      "invalid-metric",
      undefined,
    ]);
    // Series are placed up to the error.
    expect(results.map((result) => places(result, 1).length)).toEqual([1, 0, 0, 1, 0, 1]);
    expect(app.directory.damage).toEqual([]);
    pool.close();
  });
});

describe("a name that is registered otherwise", () => {
  const otherwise = { ...requests, kind: "gauge" as const };

  test("is a conflict while a writer of it lives, and nothing changes", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 5);
    const other = new TestWriter(app);
    const { length } = app.directory;
    const { results } = app.register(other.id, [ask(otherwise, [["/"]])]);
    expect(results[0]!.error).toMatchObject({ code: "metric-conflict" });
    expect(results[0]!.error!.message).toContain('kind was "counter", now "gauge"');
    expect(app.directory.length).toBe(length);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [5] });
    pool.close();
  });

  test("is a conflict with the same request's other half", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    const { results } = app.register(writer.id, [ask(requests, [["/"]]), ask(otherwise, [["/"]])]);
    expect(results.map(({ error }) => error?.code)).toEqual([undefined, "metric-conflict"]);
    pool.close();
  });

  test("is declared again once the last writer of it is gone", () => {
    const { pool, app } = start();
    const old = new TestWriter(app);
    old.put(requests, ["/"], 5);
    old.die();
    scan(app);
    const next = new TestWriter(app);
    next.put(define.histogram("requests_total", [1], ["path"]), ["/"], 1, 2, 3.5);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [1, 2, 3.5] });
    // And it stays declared that way, for the next agent too.
    const again = application(pool);
    const { results } = again.register(next.id, [ask(requests, [["/"]])]);
    expect(results[0]!.error?.code).toBe("metric-conflict");
    next.die();
    scan(again);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [1, 2, 3.5] });
    pool.close();
  });

  test("is no conflict when only its help is another", () => {
    const { pool, app } = start();
    new TestWriter(app).put(requests, ["/"], 1);
    new TestWriter(app).put({ ...requests, help: "said better" }, ["/"], 1);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [2] });
    pool.close();
  });
});

describe("a name whose labels are open", () => {
  const open = (labelNames: string[]): MetricDefinition => ({
    ...define.counter("requests.done", labelNames),
    dialect: "opentelemetry",
  });

  test("has a metric for each set of labels, of one request and of several writers", () => {
    const { pool, app } = start();
    const one = new TestWriter(app);
    one.register(ask(open(["a"]), [["1"], ["2"]]), ask(open(["b"]), [["1"]]), ask(open([])));
    one.store("requests.done", ["2"], 7);
    const other = new TestWriter(app);
    other.register(ask(open(["a"]), [["2"]]), ask(open(["a", "b"]), [["1", "1"]]));
    other.store("requests.done", ["2"], 5);
    const metrics = [...app.directory.metrics.values()];
    expect(metrics.map(({ definition, series }) => [definition.labelNames, series.length])).toEqual(
      [
        [["a"], 2],
        [["b"], 1],
        [[], 1],
        [["a", "b"], 1],
      ],
    );
    expect(totals(pool)['auth/requests.done["2"]']).toEqual([12]);
    pool.close();
  });

  test("is known again by the next agent, and when the directory was rewritten", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    writer.put(open(["a"]), ["x"], 1);
    writer.put(open(["b"]), ["y"], 2);
    pool.compact();
    const again = application(pool);
    const { results } = again.register(writer.id, [
      ask(open(["a"]), [["x"]]),
      ask(open(["b"]), [["y"]]),
    ]);
    expect(results.map(({ error }) => error)).toEqual([undefined, undefined]);
    expect(again.directory.metrics.size).toBe(2);
    expect(totals(pool)).toEqual({
      'auth/requests.done["x"]': [1],
      'auth/requests.done["y"]': [2],
    });
    pool.close();
  });

  test("forgets sets of labels of which nobody holds a series any more", () => {
    const { pool, app } = start();
    const gauge = (label: string): MetricDefinition => ({
      ...define.gauge("active.now", "sum", [label]),
      dialect: "opentelemetry",
    });
    const writer = new TestWriter(app);
    writer.register(ask(gauge("a"), [["1"]]), ask(gauge("b"), [["1"], ["2"]]));
    const other = new TestWriter(app);
    other.register(ask(gauge("c"), [["1"]]), ask(open(["c"]), [["1"]]));
    other.store("requests.done", ["1"], 3);
    other.die();
    scan(app);
    expect(writer.release({ name: "active.now", labelNames: ["a"], series: [["1"]] })).toBe(1);
    pool.compact();
    const left = [...app.directory.metrics.values()].map(({ definition }) => definition);
    expect(left.map(({ name, labelNames }) => [name, ...labelNames])).toEqual([
      ["active.now", "b"],
      ["requests.done", "c"],
    ]);
    writer.register(ask(gauge("a"), [["1"]]));
    expect(totals(pool)).toEqual({ 'auth/requests.done["1"]': [3] });
    pool.close();
  });

  test("is declared otherwise by nobody while a writer of any of its metrics lives", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    writer.put(open(["a"]), ["1"], 1);
    const gone = new TestWriter(app);
    gone.put(open(["b"]), ["2"], 1);
    gone.die();
    scan(app);
    const next = new TestWriter(app);
    const otherwise = { ...open(["b"]), unit: "s" };
    const code = () => app.register(next.id, [ask(otherwise, [["1"]])]).results[0]!.error?.code;
    expect(code()).toBe("metric-conflict");
    writer.die();
    scan(app);
    expect(code()).toBeUndefined();
    const living = [...app.directory.metrics.values()].filter(({ retired }) => !retired);
    expect(living.map(({ definition }) => definition.unit)).toEqual(["s"]);
    pool.close();
  });

  test("does not contradict itself within a request, in whichever order", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    writer.put(open(["a"]), ["1"], 1);
    writer.die();
    scan(app);
    const next = new TestWriter(app);
    const { results } = app.register(next.id, [
      ask(open(["b"]), [["1"]]),
      ask({ ...open(["c"]), unit: "s" }, [["1"]]),
    ]);
    expect(results.map(({ error }) => error?.code)).toEqual([undefined, "metric-conflict"]);
    pool.close();
  });

  test("has so many sets of labels and no more, and its series count together", () => {
    const { pool, app } = start({ limits: { seriesPerMetric: 140 } });
    const writer = new TestWriter(app);
    const { results } = app.register(
      writer.id,
      Array.from({ length: 129 }, (_, i) => ask(open([`l${i}`]), [["1"]])),
    );
    expect(results.slice(0, 128).every(({ error }) => error === undefined)).toBe(true);
    expect(results[128]!.error?.code).toBe("label-names-full");
    const more = app.register(writer.id, [ask(open(["l0"]), paths(13))]);
    expect(more.results[0]!.error?.code).toBe("label-values-full");
    pool.close();
  });
});

describe("a limit", () => {
  test("on pages refuses a writer and changes nothing", () => {
    const all = start({ limits: { pages: 2 } });
    new TestWriter(all.app).put(requests, ["/"], 1);
    new TestWriter(all.app);
    const before = stateOf(all);
    const error = errorOf(() => new TestWriter(all.app));
    expect(error).toBeInstanceOf(LimitError);
    expect(error).toMatchObject({ code: "pages-full", status: 507 });
    expect(error.message).toContain("2 of 2");
    expect(stateOf(all)).toEqual(before);
    all.pool.close();
  });

  test("on pages places series up to it", () => {
    const { pool, app } = start({ limits: { pages: 2 } });
    const writer = new TestWriter(app);
    const { results } = app.register(writer.id, [
      ask(requests, paths(2 * SLOTS_PER_PAGE + 1)),
      ask(inFlight),
    ]);
    expect(results[0]!.error?.code).toBe("pages-full");
    expect(places(results[0]!, 1)).toHaveLength(2 * SLOTS_PER_PAGE);
    expect(results[1]!.error?.code).toBe("pages-full");
    expect(app.pagesUsed).toBe(2);
    pool.close();
  });

  test("on pages lets a new writer in when one has died", () => {
    const { pool, app } = start({ limits: { pages: 1 } });
    const writer = new TestWriter(app);
    writer.die();
    scan(app);
    expect(() => new TestWriter(app)).not.toThrow();
    pool.close();
  });

  test("on series refuses what is new and still gives what is known", () => {
    const { pool, app } = start({ limits: { series: 10 } });
    const writer = new TestWriter(app);
    const { results } = app.register(writer.id, [
      ask(requests, paths(12)),
      ask(inFlight),
      ask(requests, paths(5)),
    ]);
    expect(results.map(({ error }) => error?.code)).toEqual([
      "series-full",
      "series-full",
      undefined,
    ]);
    expect(results.map((result) => places(result, 1).length)).toEqual([10, 0, 5]);
    expect(app.directory.seriesCount).toBe(10);
    pool.close();
  });

  test("on label values stops a metric with 100,000 of them, and no other metric", () => {
    const sizes = { directoryCapacity: 8 << 20 };
    const { pool, app } = start({}, sizes);
    const writer = new TestWriter(app);
    const { results } = app.register(writer.id, [ask(requests, paths(100_000)), ask(inFlight)]);
    expect(results[0]!.error?.code).toBe("label-values-full");
    expect(results[0]!.error?.message).toContain("at most 10000");
    expect(places(results[0]!, 1)).toHaveLength(10_000);
    expect(results[1]!.error).toBeUndefined();
    pool.close();
  });

  test("on writers counts the living, not the agent's own that keep what the dead have counted", () => {
    const all = start({ limits: { writers: 2 } });
    const first = new TestWriter(all.app);
    first.put(requests, ["/"], 1);
    new TestWriter(all.app);
    const before = stateOf(all);
    expect(errorOf(() => new TestWriter(all.app)).code).toBe("writers-full");
    expect(stateOf(all)).toEqual(before);
    first.die();
    scan(all.app);
    expect(() => new TestWriter(all.app)).not.toThrow();
    expect(errorOf(() => new TestWriter(all.app)).code).toBe("writers-full");
    all.pool.close();
  });

  test("on the directory refuses what is new, and still lets the dead be folded", () => {
    const all = start({}, { pageCapacity: 1024, directoryCapacity: 16 << 10 });
    const writers: TestWriter[] = [];
    let error: AgentError | undefined;
    while (error === undefined && writers.length < 1000) {
      try {
        const writer = new TestWriter(all.app);
        writers.push(writer);
        writer.put(requests, [`/${writers.length}`], 1);
      } catch (thrown) {
        if (!(thrown instanceof AgentError)) throw thrown;
        error = thrown;
      }
    }
    expect(error).toMatchObject({ code: "directory-full" });
    expect(all.app.directory.damage).toEqual([]);
    const counted = totals(all.pool);
    for (const writer of writers) writer.die();
    expect(scan(all.app)).toBe(writers.length);
    expect(all.told.postponed).toEqual([]);
    expect(totals(all.pool)).toEqual(counted);
    expect(() => new TestWriter(all.app)).not.toThrow();
    all.pool.close();
  });
});

describe("a writer that died", () => {
  test("is found by its lock, which another opening of the file had held", () => {
    const { pool, told, app } = start();
    const { lockOffset, lockBytes, id } = app.attach({ service: "auth", pid: 1, threadId: 1 });
    const opening = SharedFile.open(pool.path, true);
    expect(opening.lock(lockOffset, lockBytes)).toBe(true);
    expect(scan(app)).toBe(0);
    expect(scan(app)).toBe(0);
    opening.close();
    expect(app.scan()).toBe(1);
    expect(told.foldedWriters).toEqual([id]);
    pool.close();
  });

  test("may take its time to lock its page, but not for ever, and not when the clock is set back", () => {
    const { pool, app } = start();
    const attach = () => app.attach({ service: "auth", pid: 1, threadId: 1 });
    attach();
    expect(app.scan(Date.now() + 4_000)).toBe(0);
    expect(app.scan(Date.now() + 6_000)).toBe(1);
    attach();
    expect(app.scan(Date.now() - 3_600_000)).toBe(1);
    pool.close();
  });

  test("leaves its counters and histograms to the service; its gauges expire, its pages return", () => {
    const { pool, app, told } = start();
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 5);
    writer.put(latency, ["/"], 1, 2, 3, 4.25);
    writer.put(inFlight, [], 7);
    writer.put(define.counter("zero"), [], 0);
    writer.die();
    expect(scan(app)).toBe(1);
    expect(totals(pool)).toEqual({
      'auth/requests_total["/"]': [5],
      'auth/latency_seconds["/"]': [1, 2, 3, 4.25],
    });
    expect(told.foldedSeries).toBe(2);
    const [keeper, ...others] = app.directory.writers.values();
    expect(others).toEqual([]);
    expect(keeper).toMatchObject({ retained: true, serviceName: "auth" });
    expect(
      app.directory.find(keeper!, seriesOf(app.directory, 1, "in_flight", [])),
    ).toBeUndefined();
    expect(app.pagesUsed).toBe(1);
    expect(app.writers()).toEqual([]);
    pool.close();
  });

  test("began to count when the first of its service says so, and no later one changes that", () => {
    const { pool, app } = start();
    const since = () => countingSince(pool.directory).get(1);
    const attach = (sinceMs?: number) =>
      app.attach({
        ...{ service: "auth", pid: 1, threadId: 0 },
        ...(sinceMs === undefined ? {} : { since: sinceMs }),
      });
    const before = Date.now() - 60_000;
    expect(attach(before).startedAtMs).toBe(before);
    for (const each of [before - 1000, before + 1000, undefined]) {
      expect(attach(each).startedAtMs).toBeGreaterThan(before + 1000);
      expect(since()).toBe(before);
    }
    pool.close();
  });

  test("began to count now when the first of its service says what cannot be", () => {
    for (const sinceMs of [Date.now() + 60_000, 0, undefined, Number.NaN]) {
      const { pool, app } = start();
      const nowMs = Date.now();
      const request = { service: "auth", pid: 1, threadId: 0 };
      const { startedAtMs } = app.attach(
        sinceMs === undefined ? request : { ...request, since: sinceMs },
      );
      expect(startedAtMs).toBeGreaterThanOrEqual(nowMs);
      expect(startedAtMs).toBeLessThanOrEqual(Date.now());
      pool.close();
    }
  });

  test("leaves behind when its service began, whatever the clock does meanwhile", () => {
    const life = fc.record({ atMs: fc.integer({ min: 1, max: 1e12 }), dies: fc.nat(9) });
    fc.assert(
      fc.property(fc.array(life, { minLength: 1, maxLength: 12 }), (lives) => {
        const { pool, app } = start();
        const alive: TestWriter[] = [];
        let since = Number.POSITIVE_INFINITY;
        const clock = spyOn(Date, "now");
        try {
          for (const { atMs, dies } of lives) {
            clock.mockReturnValue(atMs);
            const writer = new TestWriter(app);
            writer.put(requests, ["/"], 1);
            alive.push(writer);
            const dead = alive[dies];
            if (dead !== undefined) {
              alive.splice(dies, 1);
              dead.die();
              scan(app);
            }
            pool.compactIfWorthwhile();
            const now = countingSince(pool.directory).get(1)!;
            expect(now).toBeLessThanOrEqual(since);
            since = now;
          }
          // What nobody counts any more is kept, and so is its beginning.
          for (const writer of alive) writer.die();
          scan(app);
          expect(countingSince(application(pool).directory).get(1)).toBe(since);
        } finally {
          clock.mockRestore();
          pool.close();
        }
      }),
      { numRuns: 50 },
    );
  });

  test("leaves nothing behind when it has counted nothing", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    writer.register(ask(requests, paths(10)));
    writer.die();
    scan(app);
    expect(app.directory.writers.size).toBe(0);
    expect(app.pagesUsed).toBe(0);
    pool.close();
  });

  test("is detached only when it has let go of its lock", () => {
    const { pool, app, told } = start();
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 5);
    expect(errorOf(() => app.detach(writer.id))).toMatchObject({
      code: "writer-alive",
      status: 409,
    });
    writer.die();
    app.detach(writer.id);
    expect(told.foldedWriters).toEqual([writer.id]);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [5] });
    expect(errorOf(() => app.detach(writer.id)).code).toBe("unknown-writer");
    pool.close();
  });

  test("of the prototype, which holds no lock, lives until it is detached", () => {
    const { pool, app } = start();
    const { id } = app.attach({ service: "auth", pid: 1, threadId: 1 }, { unlocked: true });
    expect(scan(app)).toBe(0);
    app.detach(id);
    expect(app.writers()).toEqual([]);
    pool.close();
  });

  test("cannot spoil the totals with what no counter can have", () => {
    const { pool, app, told } = start();
    const good = new TestWriter(app);
    good.put(requests, ["/"], 10);
    good.put(latency, ["/"], 1, 1, 1, -2.5);
    const bad = new TestWriter(app);
    bad.register(ask(requests, [["/"], ["/nan"], ["/minus"], ["/inf"], ["/fine"]]));
    bad.store("requests_total", ["/"], Number.NaN);
    bad.store("requests_total", ["/nan"], Number.NaN);
    bad.store("requests_total", ["/minus"], -1);
    bad.store("requests_total", ["/inf"], Number.POSITIVE_INFINITY);
    bad.store("requests_total", ["/fine"], 3);
    // A sum may be negative, a bucket may not.
    bad.put(latency, ["/"], 5, Number.NaN, -7, -1.5);
    good.die();
    bad.die();
    expect(scan(app)).toBe(2);
    expect(totals(pool)).toEqual({
      'auth/requests_total["/"]': [10],
      'auth/requests_total["/fine"]': [3],
      'auth/latency_seconds["/"]': [6, 1, 1, -4],
    });
    expect(told.refusedValues).toBe(6);
    pool.close();
  });

  test("adds to what earlier ones have left, over many generations of replicas", () => {
    const { pool, app } = start();
    let expected = 0;
    for (let generation = 1; generation <= 100; generation++) {
      const replicas = [new TestWriter(app), new TestWriter(app), new TestWriter(app)];
      for (const [i, replica] of replicas.entries()) {
        replica.put(requests, ["/"], generation);
        replica.put(requests, [`/${generation % 7}`], i);
        expected += generation;
      }
      expect(totals(pool)['auth/requests_total["/"]']).toEqual([expected]);
      for (const replica of replicas) replica.die();
      expect(scan(app)).toBe(3);
      expect(totals(pool)['auth/requests_total["/"]']).toEqual([expected]);
    }
    expect(app.pagesUsed).toBe(1);
    pool.close();
  });

  // A commit carries 1020 values with a journal of 16 KiB, 252 with one of 4 KiB.
  const manyValues: [string, StrategyName, number, number][] = [
    ["pages", "page", 1500, 16 << 10],
    ["parts of a page, over which its series go on", "packed", 256, 4 << 10],
  ];
  test.each(manyValues)(
    "with more values than a commit carries is folded grant by grant, each with exact totals: %s",
    (_, strategy, count, journalCapacity) => {
      const { pool, app } = start({ strategy }, { journalCapacity });
      const writer = new TestWriter(app);
      // Little by little, so that a packed writer gets its share in parts.
      for (let i = 0; i < count; i += 4) writer.register(ask(requests, paths(4, i)));
      for (let i = 0; i < count; i++) writer.store("requests_total", [`/${i}`], i + 1);
      const other = new TestWriter(app);
      other.put(requests, ["/0"], 1000);
      const expected = totals(pool);
      const generations = new Set<number>();
      pool.onStore = () => {
        if (pool.generation % 2 === 1) return;
        const image = readImage(pool.mapping.bytes());
        expect(image.directory.damage).toEqual([]);
        expect(totals(image)).toEqual(expected);
        generations.add(pool.generation);
      };
      writer.die();
      expect(scan(app)).toBe(1);
      pool.onStore = undefined;
      // The one before, and at least two steps.
      expect(generations.size).toBeGreaterThanOrEqual(3);
      expect(totals(pool)).toEqual(expected);
      expect(app.writers().map(({ id }) => id)).toEqual([other.id]);
      expect(app.pagesUsed).toBe(grantedPages(app.directory));
      expect(overlap(app.directory)).toBeUndefined();
      pool.close();
    },
  );

  test("is folded later when the pool has no page for its counts, and is counted meanwhile", () => {
    const { pool, app, told } = start({ limits: { pages: 2 } });
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 5);
    const other = new TestWriter(app, { service: "cart" });
    writer.die();
    expect(scan(app)).toBe(0);
    expect(told.postponed).toEqual(["pages-full"]);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [5] });
    other.die();
    // The page that the other gives back is where the first one's counts go.
    scan(app);
    scan(app);
    expect(app.writers()).toEqual([]);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [5] });
    pool.close();
  });
});

describe("the directory", () => {
  test("stays small under thousands of lives, and nothing is lost when it is rewritten", () => {
    const { pool, app } = start();
    let epochs = 0;
    for (let life = 1; life <= 3000; life++) {
      const { epoch } = app.directory;
      const writer = new TestWriter(app);
      writer.put(requests, [`/${life % 10}`], 1);
      // A gauge for each life: its series is dropped when the directory is rewritten, so others get new numbers.
      writer.put(define.gauge("up", "sum", ["pod"]), [`pod-${life}`], 1);
      writer.die();
      expect(scan(app)).toBe(1);
      if (app.directory.epoch !== epoch) epochs++;
    }
    expect(epochs).toBeGreaterThan(3);
    expect(app.directory.damage).toEqual([]);
    const counted = Object.entries(totals(pool));
    expect(counted).toHaveLength(10);
    for (const [, [total]] of counted) expect(total).toBe(300);
    expect(overlap(app.directory)).toBeUndefined();
    expect(app.pagesUsed).toBe(1);
    pool.close();
  });

  test("stays small when writers say goodbye instead of dying", () => {
    const { pool, app } = start({}, { directoryCapacity: 1 << 20 });
    for (let life = 1; life <= 5000; life++) {
      const writer = new TestWriter(app);
      writer.put(requests, ["/"], 1);
      writer.die();
      app.detach(writer.id);
    }
    expect(app.directory.length).toBeLessThan(300 << 10);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [5000] });
    pool.close();
  });

  test("may be rewritten at any request, and gives every series its own place still", () => {
    const { pool, app } = start({}, { directoryCapacity: 8 << 10 });
    const counts = new Map<number, number>();
    const steady = new TestWriter(app);
    let errors = 0;
    let epochs = 0;
    for (let life = 0; life < 400; life++) {
      const { epoch } = app.directory;
      const writer = new TestWriter(app);
      const { results } = app.register(writer.id, [
        ask(define.gauge("up", "sum", ["pod"]), [[`a-${life}`], [`b-${life}`]]),
        ask(requests, paths(3, life % 5)),
      ]);
      errors += results.filter(({ error }) => error !== undefined).length;
      for (let i = 0; i < 3; i++) {
        const path = (life % 5) + i;
        writer.store("requests_total", [`/${path}`], life);
        counts.set(path, (counts.get(path) ?? 0) + life);
      }
      // Grows in between, too, so that it is a registration that finds the directory full.
      steady.register(ask(requests, paths(1, life % 5)));
      writer.die();
      scan(app);
      if (app.directory.epoch !== epoch) epochs++;
    }
    expect(errors).toBe(0);
    expect(epochs).toBeGreaterThan(5);
    expect(app.directory.damage).toEqual([]);
    expect(totals(pool)).toEqual(
      Object.fromEntries(
        [...counts].map(([path, count]) => [`auth/requests_total["/${path}"]`, [count]]),
      ),
    );
    pool.close();
  });
});

const tmpfs = scratch.tmpfs("1m");
const onTmpfs = describe.skipIf(tmpfs === undefined);
onTmpfs("a tmpfs that is full (skipped where mounting one is not permitted)", () => {
  const room = tmpfs ?? "";
  const sizes = { pageCapacity: 1024, directoryCapacity: 512 << 10, journalCapacity: 64 << 10 };
  const ballast = `${room}/ballast`;
  let count = 0;

  function create() {
    rmSync(ballast, { force: true });
    const told = new Told();
    const pool = Pool.create(`${room}/pool-${++count}`, "shop", { mode: 0o600, sizes });
    return { pool, told, app: application(pool, { told }) };
  }

  function leave(pool: Pool) {
    pool.close();
    rmSync(pool.path);
    rmSync(ballast, { force: true });
  }

  /** Takes what is left of the memory, but for so many bytes. */
  function fill(leftBytes = 0) {
    const { bavail, bsize } = statfsSync(room);
    writeFileSync(ballast, new Uint8Array(Math.max(0, bavail * bsize - leftBytes)));
  }

  test("is an error for the next writer, and not a SIGBUS for anybody", () => {
    const { pool, app } = create();
    fill(3 * 4096);
    const writers: TestWriter[] = [];
    const error = errorOf(() => {
      for (;;) writers.push(new TestWriter(app));
    });
    expect(error).toBeInstanceOf(LimitError);
    expect(error).toMatchObject({ code: "memory-full", status: 507 });
    expect(writers.length).toBeGreaterThan(0);
    const { length } = app.directory;
    // Those that are in store to the last slot of what they have.
    for (const [i, writer] of writers.entries()) {
      const first = pool.slotIndexOf(writer.record.grants[0]!.page, 0);
      pool.slots.fill(i, first, first + SLOTS_PER_PAGE);
      writer.die();
    }
    expect(app.directory.length).toBe(length);
    leave(pool);
  });

  test("postpones a fold, which succeeds when there is room, with nothing lost or doubled", () => {
    const { pool, app, told } = create();
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 5);
    writer.die();
    fill();
    expect(scan(app)).toBe(0);
    expect(told.postponed).toEqual(["memory-full"]);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [5] });
    rmSync(ballast);
    expect(scan(app)).toBe(1);
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [5] });
    expect(app.writers()).toEqual([]);
    leave(pool);
  });

  test("keeps the agent's own counts in private memory, and moves them when there is room", () => {
    const { pool, app } = create();
    const writers = new LocalWriters("shop");
    const metrics = new SelfMetrics(writers);
    const pools = { find: () => app, open: () => app };
    writers.settle(pools);
    fill();
    // Each is a series of its own: some time there is no page left for the next.
    const codes = Array.from({ length: SLOTS_PER_PAGE * 2 }, (_, i) => `code-${i}`);
    for (const code of codes) metrics.add("limits", 2, code);
    for (const code of codes) metrics.add("limits", 1, code);
    rmSync(ballast);
    writers.settle(pools);
    const sums = totals(pool);
    const name = "agent/microview_agent_limit_reached_total";
    for (const code of codes) expect(sums[`${name}["${code}"]`]).toEqual([3]);
    writers.close();
    leave(pool);
  });

  test("postpones writing the directory again, and no death goes unnoticed for that", () => {
    const { pool, app } = create();
    const lives = (count: number) => {
      for (let life = 0; life < count; life++) {
        const writer = new TestWriter(app);
        writer.put(requests, ["/"], 1);
        writer.die();
        expect(scan(app)).toBe(1);
      }
    };
    lives(1);
    while (app.directory.length < (256 << 10) - 200) lives(1);
    fill(64 << 10);
    const { epoch } = app.directory;
    lives(10);
    expect(app.directory.length).toBeGreaterThan(256 << 10);
    expect(app.directory.epoch).toBe(epoch);
    rmSync(ballast);
    lives(1);
    expect(app.directory.epoch).toBe(epoch + 1);
    const [total] = Object.values(totals(pool));
    expect(total).toEqual([app.directory.lastId.writer - 1]);
    leave(pool);
  });

  test("is an error for a new pool, of which nothing stays", () => {
    rmSync(ballast, { force: true });
    fill();
    const path = `${room}/no-room`;
    expect(() => Pool.create(path, "shop", { mode: 0o600, sizes })).toThrow(SystemError);
    expect([...new Bun.Glob("no-room*").scanSync(room)]).toEqual([]);
    rmSync(ballast);
  });

  test("does not keep a new agent from taking over a pool", () => {
    const { pool, app } = create();
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 5);
    fill();
    pool.close();
    const adopted = Pool.adopt(pool.path)!;
    expect(totals(adopted)).toEqual({ 'auth/requests_total["/"]': [5] });
    leave(adopted);
  });
});
