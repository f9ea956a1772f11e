import { describe, expect, test } from "bun:test";
import { anchorOf } from "../../../src/client/events/ring-file.ts";

/** Clocks of one thread that is held up, at its n-th reading of a clock, for so many ticks. */
function heldUp(holdUps: Readonly<Record<number, number>>) {
  let [now, reading] = [0, 0];
  const read = (): number => {
    now += 1 + (holdUps[reading++] ?? 0);
    return now;
  };
  return { ticks: read, monotonicNs: read, unixMs: read, readings: () => reading };
}

describe("an anchor", () => {
  test("is one reading of its clocks where nothing comes between them", () => {
    const clocks = heldUp({});
    expect(anchorOf(clocks, 10)).toEqual({ tick: 2, monotonicNs: 2, unixMs: 3 });
    expect(clocks.readings()).toBe(4);
  });

  test("is taken again where the thread was held up between two of them", () => {
    const clocks = heldUp({ 1: 5_000, 6: 5_000 });
    const { tick, monotonicNs, unixMs } = anchorOf(clocks, 10);
    expect(clocks.readings()).toBe(12);
    expect([monotonicNs - tick, unixMs - tick]).toEqual([0, 1]);
  });

  test("of a thread that is always held up is the closest of some", () => {
    const holdUps = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [i, 50]));
    const clocks = heldUp({ ...holdUps, 9: 20, 10: 20, 11: 20 });
    const { tick, monotonicNs } = anchorOf(clocks, 10);
    expect(clocks.readings()).toBe(32);
    expect(monotonicNs - tick).toBeLessThan(30);
  });
});
