// How ranges of a pool become READs, and how READs are waited for.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Spinner } from "../../src/collector/spinner.ts";
import { splitRanges } from "../../src/collector/verbs-plan.ts";

const MAX = 1 << 30;

describe("ranges become READs", () => {
  const regions = [
    { offset: 0, bytes: 4096, key: 1 },
    { offset: 8192, bytes: 8192, key: 2 },
    { offset: 16_384, bytes: 8192, key: 3 },
  ];

  test("one for each range that lies in a region", () => {
    const ranges = [
      { offset: 256, bytes: 32 },
      { offset: 8192, bytes: 100 },
    ];
    expect(splitRanges(ranges, regions, MAX)).toEqual([
      { offset: 256, bytes: 32, key: 1, fence: false },
      { offset: 8192, bytes: 100, key: 2, fence: false },
    ]);
  });

  test("cut where a region ends, and the fence stays with the first piece", () => {
    const ranges = [{ offset: 12_288, bytes: 8192, fence: true }];
    expect(splitRanges(ranges, regions, MAX)).toEqual([
      { offset: 12_288, bytes: 4096, key: 2, fence: true },
      { offset: 16_384, bytes: 4096, key: 3, fence: false },
    ]);
  });

  test("cut where a message would be too long", () => {
    const pieces = splitRanges([{ offset: 8192, bytes: 2500 }], regions, 1000);
    expect(pieces?.map(({ bytes }) => bytes)).toEqual([1000, 1000, 500]);
  });

  test("take the region that reaches furthest, when memory is registered twice", () => {
    const twice = [{ offset: 8192, bytes: 512, key: 8 }, ...regions];
    expect(splitRanges([{ offset: 8192, bytes: 4096 }], twice, MAX)).toHaveLength(1);
  });

  test("or nothing, when a place is in no region", () => {
    expect(splitRanges([{ offset: 4000, bytes: 200 }], regions, MAX)).toBeUndefined();
    expect(splitRanges([{ offset: 24_570, bytes: 20 }], regions, MAX)).toBeUndefined();
    expect(splitRanges([{ offset: 0, bytes: 1 }], [], MAX)).toBeUndefined();
  });

  test("that bring each byte once, in order, each from a region that holds all of it", () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 999 }), { maxLength: 8 });
    const ranges = fc.array(
      fc.record({ offset: fc.nat(999), bytes: fc.integer({ min: 1, max: 300 }) }),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(cuts, ranges, fc.integer({ min: 1, max: 400 }), (at, wanted, longest) => {
        const ends = [...at.toSorted((a, b) => a - b), 1000];
        const made = ends.map((end, i) => {
          const offset = i === 0 ? 0 : ends[i - 1]!;
          return { offset, bytes: end - offset, key: i };
        });
        const pieces = splitRanges(wanted, made, longest);
        const outside = wanted.some(({ offset, bytes }) => offset + bytes > 1000);
        if (outside) return expect(pieces).toBeUndefined();
        const bytesOf = (all: readonly { offset: number; bytes: number }[]) =>
          all.flatMap(({ offset, bytes }) => Array.from({ length: bytes }, (_, i) => offset + i));
        expect(bytesOf(pieces!)).toEqual(bytesOf(wanted));
        for (const { offset, bytes, key } of pieces!) {
          const region = made[key]!;
          expect(bytes).toBeLessThanOrEqual(longest);
          expect(offset).toBeGreaterThanOrEqual(region.offset);
          expect(offset + bytes).toBeLessThanOrEqual(region.offset + region.bytes);
        }
      }),
    );
  });
});

describe("waiting for READs", () => {
  /** A clock that goes on by a step with each question, and a target whose read ends at some time. */
  function scene(endsNs: number, stepNs = 1000) {
    let now = 0;
    let looks = 0;
    const clock = () => (now += stepNs);
    const target = {
      get busy() {
        return now < endsNs;
      },
      look: () => void looks++,
    };
    return { clock, target, looks: () => looks, now: () => now };
  }

  test("spins where READs take a few microseconds", () => {
    const { clock, target, looks, now } = scene(8000);
    const spinner = new Spinner("adaptive", clock);
    for (let i = 0; i < 50; i++) spinner.took(6000);
    spinner.spin([target], -1);
    expect(target.busy).toBe(false);
    expect(looks()).toBeGreaterThan(3);
    expect(now()).toBeLessThan(15_000);
  });

  test("sleeps where they take long, after having tried", () => {
    const { clock, target, looks } = scene(1e9);
    const spinner = new Spinner("adaptive", clock);
    spinner.spin([target], -1);
    expect(looks()).toBeGreaterThan(0);
    for (let i = 0; i < 20; i++) spinner.took(200_000);
    const before = looks();
    spinner.spin([target], -1);
    expect(looks()).toBe(before);
    // A network that has become fast again is noticed, for what was slept through is timed as well.
    for (let i = 0; i < 40; i++) spinner.took(5000);
    spinner.spin([target], -1);
    expect(looks()).toBeGreaterThan(before);
  });

  test("does neither without need: nothing under way, told not to, or a deadline that has come", () => {
    const idle = scene(0);
    new Spinner("spin", idle.clock).spin([idle.target], -1);
    expect(idle.looks()).toBe(0);
    const busy = scene(1e9);
    new Spinner("event", busy.clock).spin([busy.target], -1);
    expect(busy.looks()).toBe(0);
    new Spinner("spin", busy.clock).spin([busy.target], 5000);
    expect(busy.now()).toBeLessThan(10_000);
  });

  test("by spinning alone ends some time too", () => {
    const { clock, target, now } = scene(1e12, 10_000);
    new Spinner("spin", clock).spin([target], -1);
    expect(now()).toBeLessThan(3e6);
  });
});
