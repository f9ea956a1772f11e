// How Prometheus spells labels and numbers.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { escapeLabel, formatValue } from "../../src/layout/index.ts";

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
