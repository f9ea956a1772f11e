// The time of a ring's events: it never goes back, follows the wall clock as far as it may, and is the same for whoever
// comes later.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  readShipped,
  SHIPPED_BYTES,
  type Shipped,
  storeOfTimeline,
  Timeline,
} from "../../../src/layout/index.ts";

const TICKS_PER_MS = 1000;
const header = {
  start: { tick: 0, monotonicNs: 0, unixMs: 1.7e12 },
  ticksPerMs: TICKS_PER_MS,
};

/** What clocks say after so many milliseconds. @param setByMs what was added to the wall clock */
function anchorAt(ms: number, setByMs = 0) {
  return { tick: ms * TICKS_PER_MS, monotonicNs: ms * 1e6, unixMs: 1.7e12 + ms + setByMs };
}

const at = (timeline: Timeline, ms: number) => timeline.at(ms * TICKS_PER_MS) / 1e6;

describe("the time of a ring", () => {
  test("never goes back, whatever clocks and ticks say", () => {
    const events = fc.array(
      fc.oneof(
        fc.record({ tick: fc.double() }),
        fc.record({ tick: fc.nat(), monotonicNs: fc.nat(), unixMs: fc.integer({ min: 0 }) }),
        fc.integer({ min: -1e7, max: 1e7 }).map((ms) => anchorAt(Math.abs(ms), ms)),
      ),
    );
    fc.assert(
      fc.property(events, (all) => {
        const timeline = new Timeline(header);
        let before = 0;
        for (const event of all) {
          if ("unixMs" in event) timeline.turnTo(event);
          const now = timeline.at(event.tick);
          expect(now).toBeGreaterThanOrEqual(before);
          expect(Number.isSafeInteger(now) || now % 1 === 0).toBeTrue();
          expect(timeline.epochNs + BigInt(now) < 2n ** 63n).toBeTrue();
          before = now;
        }
      }),
    );
  });

  test("goes on when the clock is set forward, and tells it", () => {
    const timeline = new Timeline(header);
    expect(at(timeline, 1000)).toBe(1000);
    expect(timeline.turnTo(anchorAt(1000, 5000))).toEqual({ stepMs: 5000 });
    expect(at(timeline, 1001)).toBe(6001);
  });

  test("is held back after the clock was set back, until that has caught up, and tells it", () => {
    const timeline = new Timeline(header);
    expect(timeline.turnTo(anchorAt(1000, -5000))).toEqual({ stepMs: -5000 });
    expect(at(timeline, 1000)).toBe(1000);
    expect(at(timeline, 3000)).toBe(2000);
    expect(timeline.turnTo(anchorAt(3000, -5000))).toBeUndefined();
    expect(at(timeline, 11_000)).toBe(6000);
    expect(at(timeline, 12_000)).toBe(7000);
  });

  test("does not show that clocks are adjusted", () => {
    const timeline = new Timeline(header);
    expect(timeline.turnTo(anchorAt(1000, -0.5))).toBeUndefined();
    expect(at(timeline, 1010)).toBeCloseTo(1009.99, 6);
    expect(at(timeline, 2000)).toBe(1999.5);
  });

  test("goes by the rate of ticks that clocks have shown, not by that of the start", () => {
    const timeline = new Timeline({ ...header, ticksPerMs: 1500 });
    timeline.turnTo(anchorAt(1000));
    expect(at(timeline, 2000)).toBe(2000);
  });

  test("is the same for a timeline that begins with the state of another one", () => {
    const steps = fc.array(fc.tuple(fc.nat(5000), fc.integer({ min: -3000, max: 3000 })), {
      minLength: 1,
    });
    fc.assert(
      fc.property(steps, fc.nat(1e6), (all, later) => {
        const timeline = new Timeline(header);
        let ms = 0;
        for (const [passed, setBy] of all) {
          ms += passed;
          timeline.turnTo(anchorAt(ms, setBy));
        }
        const other = new Timeline(header, JSON.parse(JSON.stringify(timeline.state)));
        const tick = (ms + later) * TICKS_PER_MS;
        expect(other.at(tick)).toBe(timeline.at(tick));
      }),
    );
  });
});

describe("how far a ring was shipped", () => {
  const timeline = { ...anchorAt(1), aheadNs: 7 };

  test("is read as it was stored, or as it was before, whichever store was the last", () => {
    const page = new Uint8Array(SHIPPED_BYTES);
    let before: Shipped = { total: 0, timeline: undefined };
    expect(readShipped(page)).toEqual(before);
    for (const total of [10, 2 ** 32 + 5, 2 ** 40]) {
      const next = { total, timeline: { ...timeline, tick: total } };
      const { offset, bytes } = storeOfTimeline(total, next.timeline, page);
      page.set(bytes, offset);
      expect(readShipped(page)).toEqual(before);
      storeTotal(page, total);
      expect(readShipped(page)).toEqual(next);
      before = next;
    }
  });

  test("has no time when whoever shipped has stored none", () => {
    const page = new Uint8Array(SHIPPED_BYTES);
    const { offset, bytes } = storeOfTimeline(10, timeline, page);
    page.set(bytes, offset);
    storeTotal(page, 20);
    expect(readShipped(page)).toEqual({ total: 20, timeline: undefined });
  });

  test("is something, whatever the page holds", () => {
    const size = { minLength: SHIPPED_BYTES, maxLength: SHIPPED_BYTES };
    fc.assert(
      fc.property(fc.uint8Array(size), (page) => {
        expect(Number.isSafeInteger(readShipped(page).total)).toBeTrue();
        storeOfTimeline(1, timeline, page);
      }),
    );
  });
});

function storeTotal(page: Uint8Array, total: number): void {
  new DataView(page.buffer).setFloat64(8, total, true);
}
