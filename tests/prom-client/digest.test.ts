// Quantiles of a stream: exact for few values, close for many, in bounded memory.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Digest } from "../../src/prom-client/digest.ts";
import { Random } from "../chaos/random.ts";

const random = new Random(1);

/** Where a value stands among sorted ones, from 0 to 1. */
function rankOf(sorted: Float64Array, value: number): number {
  let below = 0;
  while (below < sorted.length && sorted[below]! < value) below++;
  return below / sorted.length;
}

/** 0, 1, 2 and so on. */
function counting(): () => number {
  let next = 0;
  return () => next++;
}

function digestOf(values: Iterable<number>): Digest {
  const digest = new Digest();
  for (const value of values) digest.push(value);
  return digest;
}

describe("a digest", () => {
  test("knows no quantile of nothing", () => {
    expect(new Digest().percentile(0.5)).toBeUndefined();
    expect(new Digest().size()).toBe(0);
  });

  test("interpolates between the middles of the weights of few values", () => {
    const digest = digestOf([100, 100, 100, 50, 50]);
    expect([0, 0.2, 0.5, 0.7, 1].map((p) => digest.percentile(p))).toEqual([50, 50, 80, 100, 100]);
    expect(digest.size()).toBe(2);
  });

  test("is monotonic, within its values, and the same in any order", () => {
    const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(values, (given) => {
        const digest = digestOf(given);
        const backwards = digestOf([...given].reverse());
        let last = Number.NEGATIVE_INFINITY;
        for (let p = 0; p <= 1; p += 0.05) {
          const quantile = digest.percentile(p)!;
          expect(quantile).toBeGreaterThanOrEqual(Math.max(last - 1e-6, Math.min(...given) - 1e-6));
          expect(quantile).toBeLessThanOrEqual(Math.max(...given) + 1e-6);
          expect(backwards.percentile(p)).toBe(quantile);
          last = quantile;
        }
      }),
    );
  });

  test.each([
    ["uniform", () => random.next()],
    ["long-tailed", () => 1 / (1 - random.next())],
    ["ascending", counting()],
    ["of few values", () => random.between(0, 49)],
  ])("is close in rank for 200,000 values, %s, and stays small", (name, next) => {
    const values = Float64Array.from({ length: 200_000 }, next);
    const digest = digestOf(values);
    values.sort();
    for (const p of [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999]) {
      const error = Math.abs(rankOf(values, digest.percentile(p)!) - p);
      // Equal values share a rank.
      expect(error).toBeLessThan(
        name === "of few values" ? 0.021 : 0.01 * Math.sqrt(p * (1 - p)) + 0.0005,
      );
    }
    expect(digest.size()).toBeLessThan(2500);
  });

  test("forgets all when it is reset", () => {
    const digest = digestOf([1, 2, 3]);
    digest.reset();
    expect(digest.percentile(0.5)).toBeUndefined();
    digest.push(7);
    expect(digest.percentile(0.5)).toBe(7);
  });
});
