// Bucket arithmetic: where values go, how well they are read back, and quantiles.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bucketQuantile, logLinearIndex } from "../../../src/layout/definitions/histogram.ts";
import {
  LIMITS,
  type LogLinearOptions,
  type LogLinearShape,
  logLinearBounds,
  logLinearShape,
} from "../../../src/layout/index.ts";

/** Options that fit a page: a power of ten to start from, a ratio, an error. */
const options: fc.Arbitrary<Required<LogLinearOptions>> = fc
  .record({
    min: fc.double({ min: 1e-9, max: 1e6, noNaN: true, noDefaultInfinity: true }),
    ratio: fc.double({ min: 1.001, max: 1e12, noNaN: true, noDefaultInfinity: true }),
    error: fc.double({ min: 0.0005, max: 0.35, noNaN: true, noDefaultInfinity: true }),
  })
  .map(({ min, ratio, error }) => ({ min, max: min * ratio, error }))
  .filter((given) => shapeOrNothing(given) !== undefined);

function shapeOrNothing(given: LogLinearOptions): LogLinearShape | undefined {
  try {
    return logLinearShape(given);
  } catch {
    return undefined;
  }
}

/** Options, and a value from min to max, spread over the powers of two. */
const optionsAndValue = fc
  .tuple(options, fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([given, share]) => {
    const value = given.min * (given.max / given.min) ** share;
    return { given, value: Math.min(Math.max(value, given.min), given.max) };
  });

describe("a log-linear histogram", () => {
  test("puts every value of its range into the bucket whose bounds hold it", () => {
    fc.assert(
      fc.property(optionsAndValue, ({ given, value }) => {
        const shape = logLinearShape(given);
        const bounds = logLinearBounds(shape);
        const index = logLinearIndex(shape, value);
        expect(index).toBeGreaterThanOrEqual(1);
        expect(index).toBeLessThanOrEqual(shape.buckets);
        expect(bounds[index - 1]!).toBeLessThanOrEqual(value);
        expect(bounds[index]!).toBeGreaterThan(value);
      }),
      { numRuns: 1000 },
    );
  });

  test("reads a value back with no more than the stated relative error", () => {
    fc.assert(
      fc.property(optionsAndValue, ({ given, value }) => {
        const shape = logLinearShape(given);
        const counts = new Float64Array(shape.buckets + 2);
        counts[logLinearIndex(shape, value)] = 1;
        const upper = [...logLinearBounds(shape), Number.POSITIVE_INFINITY];
        const read = bucketQuantile(0.5, counts, upper, Number.NEGATIVE_INFINITY, true);
        expect(Math.abs(read - value) / value).toBeLessThanOrEqual(given.error * (1 + 1e-12));
      }),
      { numRuns: 1000 },
    );
  });

  test("has ascending bounds that hold min and max", () => {
    fc.assert(
      fc.property(options, (given) => {
        const shape = logLinearShape(given);
        const bounds = logLinearBounds(shape);
        expect(bounds).toHaveLength(shape.buckets + 1);
        for (let i = 1; i < bounds.length; i++) expect(bounds[i]!).toBeGreaterThan(bounds[i - 1]!);
        expect(bounds[0]!).toBeLessThanOrEqual(given.min);
        expect(bounds.at(-1)!).toBeGreaterThan(given.max);
      }),
    );
  });

  test("never orders two values against their buckets", () => {
    const any = fc.double({ noNaN: true });
    fc.assert(
      fc.property(options, any, any, (given, a, b) => {
        const shape = logLinearShape(given);
        const low = logLinearIndex(shape, Math.min(a, b));
        const high = logLinearIndex(shape, Math.max(a, b));
        expect(low).toBeGreaterThanOrEqual(0);
        expect(low).toBeLessThanOrEqual(high);
        expect(high).toBeLessThanOrEqual(shape.buckets + 1);
      }),
      { numRuns: 1000 },
    );
  });

  describe("counts in its underflow bucket", () => {
    const shape = logLinearShape();
    const below = [
      0,
      -0,
      Number.MIN_VALUE,
      1e-300,
      9e-7,
      -1e-6,
      -1,
      -1e300,
      Number.NEGATIVE_INFINITY,
    ];
    test.each(below)("%p", (value) => {
      expect(logLinearIndex(shape, value)).toBe(0);
    });
  });

  describe("counts in its overflow bucket", () => {
    const shape = logLinearShape();
    const above = [1100, 1e6, 1e300, Number.MAX_VALUE, Number.POSITIVE_INFINITY];
    test.each(above)("%p", (value) => {
      expect(logLinearIndex(shape, value)).toBe(shape.buckets + 1);
    });
  });

  test("goes by default from 1 µs to 1000 s with 6.25 %, in 243 slots per series", () => {
    const shape = logLinearShape();
    expect(shape).toMatchObject({ min: 1e-6, max: 1000, error: 0.0625, subBits: 3 });
    // Underflow, 240 buckets, overflow, sum: two such series fit a page of 504 slots.
    expect(shape.buckets + 3).toBe(243);
    expect(2 * (shape.buckets + 3)).toBeLessThanOrEqual(LIMITS.slotsPerSeries);
  });

  test("takes a greater error for fewer slots, so that labelled ones stay small", () => {
    const slots = (error: number) => logLinearShape({ error }).buckets + 3;
    expect(slots(0.35)).toBeLessThan(slots(0.2));
    expect(slots(0.2)).toBeLessThan(slots(0.0625));
    expect(slots(0.2)).toBeLessThanOrEqual(70);
  });

  describe("refuses", () => {
    const bad: [string, LogLinearOptions][] = [
      ["min 0", { min: 0 }],
      ["a negative min", { min: -1 }],
      ["min above max", { min: 2, max: 1 }],
      ["min equal to max", { min: 1, max: 1 }],
      ["NaN as min", { min: Number.NaN }],
      ["NaN as max", { max: Number.NaN }],
      ["an endless max", { max: Number.POSITIVE_INFINITY }],
      ["a denormal min", { min: 1e-310 }],
      ["no error", { error: 0 }],
      ["a negative error", { error: -0.1 }],
      ["an error above 35 %", { error: 0.36 }],
      ["NaN as error", { error: Number.NaN }],
      ["more slots than a page has", { error: 0.01 }],
      ["all doubles at once", { min: 1e-300, max: 1e300 }],
    ];
    test.each(bad)("%s", (_, given) => {
      expect(() => logLinearShape(given)).toThrow(RangeError);
    });
  });
});

describe("a quantile", () => {
  /** Ascending finite upper bounds, +Inf last, with counts for each. */
  const buckets = fc
    .uniqueArray(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 12 })
    .map((bounds) => [...bounds].sort((a, b) => a - b))
    .chain((bounds) =>
      fc.record({
        upper: fc.constant([...bounds, Number.POSITIVE_INFINITY]),
        counts: fc.array(fc.integer({ min: 0, max: 1000 }), {
          minLength: bounds.length + 1,
          maxLength: bounds.length + 1,
        }),
      }),
    );
  const share = fc.double({ min: 0, max: 1, noNaN: true });

  test("is NaN when there are no observations", () => {
    expect(bucketQuantile(0.5, [0, 0], [1, Number.POSITIVE_INFINITY], 0, false)).toBeNaN();
    expect(bucketQuantile(0.5, [], [], 0, true)).toBeNaN();
  });

  test("never falls when its share rises", () => {
    fc.assert(
      fc.property(buckets, share, share, fc.boolean(), ({ upper, counts }, a, b, geometric) => {
        fc.pre(counts.some((count) => count > 0));
        const low = bucketQuantile(Math.min(a, b), counts, upper, 0, geometric);
        const high = bucketQuantile(Math.max(a, b), counts, upper, 0, geometric);
        expect(low).toBeLessThanOrEqual(high);
      }),
      { numRuns: 1000 },
    );
  });

  test("lies within the bounds of a bucket that was hit", () => {
    fc.assert(
      fc.property(buckets, share, fc.boolean(), ({ upper, counts }, q, geometric) => {
        fc.pre(counts.some((count) => count > 0));
        const value = bucketQuantile(q, counts, upper, 0, geometric);
        const held = counts.some((count, i) => {
          const low = i === 0 ? 0 : upper[i - 1]!;
          return count > 0 && value >= low && value <= upper[i]!;
        });
        expect(held).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test("takes a share outside of 0 to 1 as the nearest of them", () => {
    const upper = [1, 2, Number.POSITIVE_INFINITY];
    expect(bucketQuantile(-1, [2, 2, 0], upper, 0, false)).toBe(0);
    expect(bucketQuantile(2, [2, 2, 0], upper, 0, false)).toBe(2);
  });

  // Worked by hand after https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
  const upper = [0.1, 0.5, 1, Number.POSITIVE_INFINITY];
  const examples: [string, number, number[], number][] = [
    ["the middle of one full bucket", 0.5, [0, 10, 0, 0], 0.3],
    ["the middle of the first bucket, from zero", 0.5, [10, 0, 0, 0], 0.05],
    ["rank 9 of 10 in the third bucket of [2, 4, 4]", 0.9, [2, 4, 4, 0], 0.875],
    ["rank 5 of 10 in the second bucket of [2, 4, 4]", 0.5, [2, 4, 4, 0], 0.4],
    ["a rank that ends a bucket gives its upper bound", 0.2, [2, 4, 4, 0], 0.1],
    ["all of it", 1, [2, 4, 4, 0], 1],
    ["a rank beyond the last bound gives that bound", 0.99, [1, 1, 1, 7], 1],
  ];
  test.each(examples)("is Prometheus's linear interpolation: %s", (_, q, counts, expected) => {
    expect(bucketQuantile(q, counts, upper, 0, false)).toBeCloseTo(expected, 12);
  });
});
