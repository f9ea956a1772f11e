// How Prometheus spells labels and numbers.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { escapeLabel, formatBound, formatValue } from "../../src/exposition/index.ts";

describe("a label value", () => {
  test("can be read back to the very label values", () => {
    const unescaped = (given: string) =>
      given.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char));
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        const escaped = escapeLabel(value);
        expect(escaped).not.toContain("\n");
        expect(/(^|[^\\])(\\\\)*"/.test(escaped)).toBe(false);
        expect(unescaped(escaped)).toBe(value);
      }),
    );
  });
});

describe("a number", () => {
  const numbers: [number, string][] = [
    [0, "0"],
    [1, "1"],
    [-1.5, "-1.5"],
    [1e21, "1e+21"],
    [1e-7, "1e-7"],
    [Number.POSITIVE_INFINITY, "+Inf"],
    [Number.NEGATIVE_INFINITY, "-Inf"],
    [Number.NaN, "NaN"],
    [2 ** 53, "9007199254740992"],
  ];
  test.each(numbers)("%p is written as %p", (value, expected) => {
    expect(formatValue(value)).toBe(expected);
  });

  test("is read back as it was", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Number(formatValue(value)) === value).toBe(true);
      }),
    );
  });
});

describe("a bound", () => {
  // As model/labels/float.go of Prometheus 3 writes them.
  const bounds: [number, string][] = [
    [0, "0.0"],
    [1, "1.0"],
    [-1, "-1.0"],
    [0.1, "0.1"],
    [2.5, "2.5"],
    [10, "10.0"],
    [1e-4, "0.0001"],
    [1e-5, "1e-05"],
    [0.000001, "1e-06"],
    [0.00025, "0.00025"],
    [2 ** -19, "1.9073486328125e-06"],
    [100_000, "100000.0"],
    [123_456.75, "123456.75"],
    [1e6, "1e+06"],
    [2 ** 20, "1.048576e+06"],
    [-2_500_000, "-2.5e+06"],
    [1e100, "1e+100"],
    [5e-324, "5e-324"],
    [Number.POSITIVE_INFINITY, "+Inf"],
  ];
  test.each(bounds)("%p is written as %p", (value, expected) => {
    expect(formatBound(value)).toBe(expected);
  });

  test("is read back as it was, and seen to be no integer", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Number(formatBound(value)) === value).toBe(true);
        expect(formatBound(value)).toMatch(/[.e]/);
      }),
    );
  });
});
