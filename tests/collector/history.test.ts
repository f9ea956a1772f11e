// The last seconds of every series, against a model that keeps everything in plain arrays.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { History } from "../../src/collector/index.ts";
import type { PoolSnapshot } from "../../src/layout/index.ts";
import { application, ask, define, Scratch, scan, TestWriter } from "../support/pools.ts";
import { patience } from "../support/speed.ts";
import { takeSnapshot } from "./snapshot-of.ts";

const NAME = { app: "shop", service: "auth", metric: "c_total" };
const STEP_MS = 10;

function snapshotAt(writer: TestWriter, step: number): PoolSnapshot {
  return takeSnapshot(writer.app, {
    monotonicNs: 1e9 + step * STEP_MS * 1e6,
    takenAtMs: step * STEP_MS,
  });
}

const scratch = new Scratch();

describe("a history", () => {
  test("lets go of pools that come no more", () => {
    const writer = new TestWriter(application(scratch.pool()));
    writer.put(define.counter("c_total"), []);
    const history = new History({ spanMs: 10 * STEP_MS });
    let most = 0;
    for (let step = 0; step < 200; step++) {
      history.add({ ...snapshotAt(writer, step), app: `job-${step}` });
      most = Math.max(most, history.bytes);
    }
    const each = snapshotAt(writer, 0).values.byteLength;
    expect(most).toBe(11 * each);
    expect(history.values({ ...NAME, app: "job-0" }, 1e6).values).toHaveLength(0);
    expect(history.values({ ...NAME, app: "job-190" }, 1e6).values).toHaveLength(1);
    writer.die();
  });

  test("gives delta and rate of a counter over any window, also when it was reset", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 2, maxLength: 40 }),
        fc.integer({ min: 1, max: 50 }),
        (values, windowSteps) => {
          const writer = new TestWriter(application(scratch.pool()));
          writer.put(define.counter("c_total"), []);
          const history = new History({ spanMs: 1e6 });
          for (const [i, value] of values.entries()) {
            writer.store("c_total", [], value);
            history.add(snapshotAt(writer, i));
          }
          const kept = values.slice(-(windowSteps + 1));
          let expected = 0;
          for (let i = 1; i < kept.length; i++) {
            const [before, now] = [kept[i - 1]!, kept[i]!];
            expected += now >= before ? now - before : now;
          }
          const windowMs = windowSteps * STEP_MS;
          expect(history.delta(NAME, windowMs)).toBe(expected);
          const seconds = ((kept.length - 1) * STEP_MS) / 1000;
          expect(history.rate(NAME, windowMs)).toBeCloseTo(expected / seconds, 6);
          writer.die();
        },
      ),
      { numRuns: 60 },
    );
  });

  test("gives quantiles of what a histogram observed in the window, and not of what was before", () => {
    const writer = new TestWriter(application(scratch.pool()));
    const history = new History({ spanMs: 1e6 });
    writer.put(define.histogram("h", [1, 2, 4]), [], 100, 0, 0, 0, 50);
    history.add(snapshotAt(writer, 0));
    writer.store("h", [], 100, 0, 10, 0, 80);
    history.add(snapshotAt(writer, 1));
    const name = { ...NAME, metric: "h" };
    expect(history.quantile(name, 0.5, STEP_MS)).toBe(3);
    expect(history.delta(name, STEP_MS)).toBe(10);
    writer.die();
  });

  test("goes back no further than its span, nor than its memory allows", () => {
    const writer = new TestWriter(application(scratch.pool()));
    writer.put(define.counter("c_total"), [], 1);
    const bySpan = new History({ spanMs: 100 });
    const byMemory = new History({ spanMs: 1e6, maxBytes: 8 * 20 });
    for (let i = 0; i < 5000; i++) {
      const snapshot = snapshotAt(writer, i);
      bySpan.add(snapshot);
      byMemory.add(snapshot);
    }
    expect(bySpan.heldMs(NAME)).toBe(100);
    expect(byMemory.bytes).toBeLessThanOrEqual(8 * 20);
    expect(byMemory.heldMs(NAME)).toBe(19 * STEP_MS);
    writer.die();
  });

  test("knows its series by name when the directory was rewritten", () => {
    const writer = new TestWriter(application(scratch.pool()));
    const other = new TestWriter(writer.app, { service: "other" });
    other.put(define.gauge("gone"), [], 1);
    writer.put(define.counter("c_total"), [], 5);
    const history = new History({ spanMs: 1e6 });
    history.add(snapshotAt(writer, 0));
    other.die();
    writer.app.scan(Date.now() + 1e6);
    writer.app.pool.compact();
    writer.app.scan(Date.now() + 1e6);
    writer.store("c_total", [], 9);
    history.add(snapshotAt(writer, 1));
    expect(history.delta(NAME, 1000)).toBe(4);
    writer.die();
  });

  test("knows how much it keeps, also when the directory was rewritten with fewer values, or more", () => {
    const writer = new TestWriter(application(scratch.pool()));
    const other = new TestWriter(writer.app, { service: "other" });
    for (let i = 0; i < 9; i++) other.put(define.gauge(`gone_${i}`), [], 1);
    writer.put(define.counter("c_total"), [], 5);
    const history = new History({ spanMs: 100 });
    for (let i = 0; i < 10; i++) history.add(snapshotAt(writer, i));
    expect(history.bytes).toBe(10 * 10 * 8);
    other.die();
    scan(writer.app);
    writer.app.pool.compact();
    scan(writer.app);
    history.add(snapshotAt(writer, 10));
    expect(history.bytes).toBe(11 * 8);
    // Those of before have gone, and nothing of them is counted any more.
    for (let i = 1000; i < 1010; i++) history.add(snapshotAt(writer, i));
    expect(history.bytes).toBe(10 * 8);
    for (let i = 0; i < 5; i++) writer.put(define.counter(`new_${i}_total`), [], 1);
    writer.app.pool.compact();
    scan(writer.app);
    history.add(snapshotAt(writer, 1010));
    expect(history.bytes).toBe(11 * 6 * 8);
    writer.die();
  });

  test(
    "takes a directory that was rewritten in time that grows with its series, not with their square",
    () => {
      const timeMs = (count: number) => {
        const pool = scratch.pool({ pageCapacity: 256, directoryCapacity: 4 << 20 });
        const writer = new TestWriter(application(pool, { limits: { seriesPerMetric: count } }));
        const series = Array.from({ length: count }, (_, i) => [`${i}`]);
        writer.register(ask(define.counter("c_total", ["n"]), series));
        const history = new History({ spanMs: 1e6 });
        history.add(snapshotAt(writer, 0));
        pool.compact();
        const snapshot = snapshotAt(writer, 1);
        const { user, system } = process.cpuUsage();
        history.add(snapshot);
        const used = process.cpuUsage({ user, system });
        writer.die();
        return (used.user + used.system) / 1000;
      };
      timeMs(2_000);
      // Quadratic would be a hundred times as long.
      expect(timeMs(20_000) / Math.max(1, timeMs(2_000))).toBeLessThan(50);
    },
    patience(60_000),
  );

  test("reads a histogram that came later the same before and after the directory was rewritten", () => {
    const writer = new TestWriter(application(scratch.pool()));
    const name = { ...NAME, metric: "h" };
    const history = new History({ spanMs: 1e6 });
    writer.put(define.counter("c_total"), [], 1);
    history.add(snapshotAt(writer, 0));
    writer.put(define.histogram("h", [1, 2, 4]), [], 0, 0, 10, 0, 30);
    history.add(snapshotAt(writer, 1));
    const ask = () => [history.delta(name, 1e5), history.quantile(name, 0.5, 1e5)];
    expect(ask()).toEqual([10, 3]);
    writer.app.pool.compact();
    scan(writer.app);
    history.add(snapshotAt(writer, 2));
    expect(ask()).toEqual([10, 3]);
    writer.die();
  });

  test("gives the quantiles that a model has which keeps every observation", () => {
    const observation = fc.integer({ min: 0, max: 100 });
    fc.assert(
      fc.property(
        fc.array(fc.array(observation, { maxLength: 20 }), { minLength: 2, maxLength: 12 }),
        fc.integer({ min: 1, max: 12 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (rounds, windowSteps, q) => {
          const bounds = [0, 5, 10, 20, 40, 80];
          const writer = new TestWriter(application(scratch.pool()));
          const history = new History({ spanMs: 1e6 });
          const slots = new Array<number>(bounds.length + 2).fill(0);
          writer.put(define.histogram("h", bounds), [], ...slots);
          for (const [i, round] of rounds.entries()) {
            for (const value of round) {
              const bucket = bounds.findIndex((bound) => value <= bound);
              slots[bucket < 0 ? bounds.length : bucket]!++;
            }
            writer.store("h", [], ...slots);
            history.add(snapshotAt(writer, i));
          }
          const steps = Math.min(windowSteps, rounds.length - 1);
          const kept = rounds
            .slice(rounds.length - steps)
            .flat()
            .sort((a, b) => a - b);
          const name = { ...NAME, metric: "h" };
          expect(history.delta(name, windowSteps * STEP_MS)).toBe(kept.length);
          const answer = history.quantile(name, q, windowSteps * STEP_MS);
          writer.die();
          if (kept.length === 0) return expect(answer).toBeNaN();
          // The observation of that rank lies in the bucket that the answer lies in.
          const exact = kept[Math.max(0, Math.ceil(q * kept.length) - 1)]!;
          const index = bounds.findIndex((bound) => exact <= bound);
          const [low, high] = index < 0 ? [80, 80] : [bounds[index - 1] ?? 0, bounds[index]!];
          expect(answer).toBeGreaterThanOrEqual(low);
          expect(answer).toBeLessThanOrEqual(high);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("says nothing of a series that it has never seen", () => {
    const history = new History({ spanMs: 1000 });
    expect(history.rate(NAME, 100)).toBeNaN();
    expect(history.quantile(NAME, 0.5, 100)).toBeNaN();
    expect(history.heldMs(NAME)).toBe(0);
  });

  test("keeps metrics of one name apart by their labels, also when the directory was rewritten", () => {
    const writer = new TestWriter(application(scratch.pool()));
    const open = (labelNames: string[]) =>
      ({ ...define.counter("c.d", labelNames), dialect: "opentelemetry" }) as const;
    const history = new History({ spanMs: 1e6 });
    writer.put(open([]), [], 1);
    writer.put(open(["a"]), ["x"], 20);
    writer.put(open(["b"]), ["y"], 300);
    history.add(snapshotAt(writer, 0));
    writer.store("c.d", [], 2);
    writer.app.pool.compact();
    history.add(snapshotAt(writer, 1));
    const values = (labels: Record<string, string>) => [
      ...history.values({ ...NAME, metric: "c.d", labels }, 1e6).values,
    ];
    expect(values({})).toEqual([1, 2]);
    expect(values({ a: "x" })).toEqual([20, 20]);
    expect(values({ b: "y" })).toEqual([300, 300]);
    expect(values({ a: "x", b: "y" })).toEqual([]);
    writer.die();
  });
});
