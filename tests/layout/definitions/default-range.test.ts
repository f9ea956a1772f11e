// The range that a log-linear histogram has by default, by its unit.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  LIMITS,
  logLinearOptions,
  logLinearShape,
  millisecondsPer,
} from "../../../src/layout/index.ts";

describe("the default range of a histogram", () => {
  test.each([
    ["", 1e-6, 1e3],
    ["seconds", 1e-6, 1e3],
    ["s", 1e-6, 1e3],
    ["milliseconds", 1e-3, 1e6],
    ["ms", 1e-3, 1e6],
    ["microseconds", 1, 1e9],
    ["us", 1, 1e9],
    ["nanoseconds", 1e3, 1e12],
    ["bytes", 1, 1e12],
    ["By", 1, 1e12],
    ["kibibytes", 1e-3, 1e6],
    ["megabytes", 1e-6, 1e6],
    ["ratio", 1e-6, 1e3],
    ["rows", 1e-6, 1e12],
    ["{request}", 1e-6, 1e12],
    ["constructor", 1e-6, 1e12],
  ])("of %j is from %p to %p", (unit, min, max) => {
    const range = logLinearOptions(unit);
    expect(range.min).toBeCloseTo(min, 12);
    expect(range.max / max).toBeCloseTo(1, 12);
    expect(logLinearShape(range).buckets + 3).toBeLessThanOrEqual(LIMITS.slotsPerSeries);
  });

  test("is the same time in each unit of time that a stopwatch counts in", () => {
    const units = ["seconds", "milliseconds", "microseconds", "nanoseconds"];
    const beginnings = units.map((unit) => logLinearOptions(unit).min * millisecondsPer(unit));
    for (const milliseconds of beginnings) expect(milliseconds).toBeCloseTo(1e-3, 12);
  });

  test("gives way to what is declared", () => {
    expect(logLinearOptions("bytes", { min: 10, max: 100, error: 0.1 })).toEqual({
      min: 10,
      max: 100,
      error: 0.1,
    });
    expect(logLinearOptions("milliseconds", { max: 10 })).toEqual({
      min: 1e-3,
      max: 10,
      error: 0.0625,
    });
  });

  test("is as wide as a small error leaves room for: whatever error fitted without a unit fits with one", () => {
    expect(logLinearOptions("bytes", { error: 0.04 })).toEqual({ min: 1, max: 1e9, error: 0.04 });
    fc.assert(
      fc.property(
        fc.constantFrom("bytes", "rows", "milliseconds", "megabytes", "days"),
        fc.double({ min: 0.0305, max: 0.35, noNaN: true }),
        (unit, error) => {
          logLinearShape(logLinearOptions("", { error }));
          logLinearShape(logLinearOptions(unit, { error }));
        },
      ),
    );
  });
});
