import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatValue, NUMBER_BYTES_MAX, writeNumber } from "../../src/exposition/index.ts";

/** What is written, between bytes that must stay. */
function written(value: number): string {
  const out = new Uint8Array(NUMBER_BYTES_MAX + 2).fill(0x23);
  const end = writeNumber(out, 1, value);
  const text = new TextDecoder().decode(out);
  expect(end).toBeLessThanOrEqual(NUMBER_BYTES_MAX + 1);
  expect(text[0]).toBe("#");
  return text.slice(1, end);
}

const bits = new DataView(new ArrayBuffer(8));

describe("a number's bytes", () => {
  test.each([
    0,
    -0,
    1,
    -1,
    9,
    10,
    99,
    100,
    2 ** 31 - 1,
    2 ** 31,
    -(2 ** 31),
    999_999_999,
    1e9,
    1e9 + 7,
    1e15 - 1,
    1e15,
    2 ** 53,
    2 ** 53 + 2,
    1e20,
    1e21,
    0.1 + 0.2,
    0.001,
    0.0001,
    0.000001,
    0.0000001,
    1.005,
    123.456,
    -123.456789,
    999999.999999,
    999999999.999999,
    1e12 + 0.001,
    4.35,
    1 / 3,
    5e-324,
    -2.2250738585072014e-308,
    Number.MAX_VALUE,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ])("are those of %p as text", (value) => {
    expect(written(value)).toBe(formatValue(value));
  });

  test("are those of any integer as text", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => written(value) === formatValue(value)),
      { numRuns: 2000 },
    );
  });

  test("are those of any decimal with few digits as text", () => {
    const decimal = fc
      .tuple(fc.integer({ min: -1e12, max: 1e12 }), fc.integer({ min: 0, max: 12 }))
      .map(([digits, places]) => digits / 10 ** places);
    fc.assert(
      fc.property(decimal, (value) => written(value) === formatValue(value)),
      { numRuns: 5000 },
    );
  });

  test("are those of any double as text, whatever its bits", () => {
    const double = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((word) => {
      bits.setBigUint64(0, word);
      return bits.getFloat64(0);
    });
    fc.assert(
      fc.property(fc.oneof(double, fc.double()), (value) => written(value) === formatValue(value)),
      { numRuns: 5000 },
    );
  });
});
