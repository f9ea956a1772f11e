// The last seconds of every series, against a model that keeps everything in plain arrays.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { History } from "../../src/collector/index.ts";
import type { PoolSnapshot } from "../../src/layout/index.ts";
import { application, define, Scratch, TestWriter } from "../support/pools.ts";
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

  test("knows its series by name when the directory was written anew", () => {
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

  test("says nothing of a series that it has never seen", () => {
    const history = new History({ spanMs: 1000 });
    expect(history.rate(NAME, 100)).toBeNaN();
    expect(history.quantile(NAME, 0.5, 100)).toBeNaN();
    expect(history.heldMs(NAME)).toBe(0);
  });
});
