import { describe, expect, test } from "bun:test";
import { sparkline } from "../../src/sinks/table/sparkline.ts";
import { rfc3339 } from "../../src/sinks/text/time.ts";
import { formatBytes, formatCount, formatQuantity } from "../../src/text/quantity.ts";

describe("a quantity", () => {
  test.each([
    [0, "seconds", "0 s"],
    [0.0000982, "seconds", "98.2 µs"],
    [0.00123, "s", "1.23 ms"],
    [12.5, "seconds", "12.5 s"],
    [90, "seconds", "1.5 min"],
    [250, "ms", "250 ms"],
    [3e-10, "seconds", "0.3 ns"],
    [-0.5, "seconds", "-500 ms"],
    [1536, "bytes", "1.5 KiB"],
    [12, "bytes", "12 B"],
    [0, "bytes", "0 B"],
    [1234, "", "1234"],
    [1234, "requests", "1234 requests"],
    [0.5, "", "0.5"],
    [Number.POSITIVE_INFINITY, "seconds", "+Inf"],
    [Number.NaN, "seconds", ""],
  ])("%p in %p is %p", (value, unit, text) => {
    expect(formatQuantity(value, unit)).toBe(text);
  });

  test("with a hostile unit shows it as it is", () => {
    expect(formatQuantity(1, "\u001b[31m")).toBe("1 \\x1b[31m");
  });

  test("with a unit that every object inherits is that unit", () => {
    expect(formatQuantity(1, "constructor")).toBe("1 constructor");
  });
});

describe("a count", () => {
  test("below ten thousand million is written out", () => {
    expect(formatCount(9_999_999_999)).toBe("9999999999");
    expect(formatCount(1795236193.25)).toBe("1795236193");
  });

  test("above has three digits that matter", () => {
    expect(formatCount(12_345_678_901)).toBe("12.35G");
    expect(formatCount(5e13)).toBe("50T");
    expect(formatCount(1e18)).toBe("1.00e+18");
    expect(formatBytes(2 ** 70)).toBe("1048576 PiB");
  });

  test("that is small keeps what matters", () => {
    expect(formatCount(0.00123)).toBe("0.00123");
    expect(formatCount(0.0000012)).toBe("1.20e-6");
    expect(formatCount(0)).toBe("0");
  });
});

describe("a sparkline", () => {
  test("of rates starts at zero", () => {
    expect(sparkline([0, 7, 14, 49], true)).toBe("▁▂▃█");
  });

  test("of a gauge spans its lowest to its highest value", () => {
    expect(sparkline([100, 101, 107], false)).toBe("▁▂█");
  });

  test("leaves a space where nothing is known, and is flat where nothing moves", () => {
    expect(sparkline([Number.NaN, 5, 5, Number.POSITIVE_INFINITY], false)).toBe(" ▁▁ ");
    expect(sparkline([], true)).toBe("");
  });
});

test("a time has microseconds", () => {
  expect(rfc3339(Date.UTC(2026, 0, 2, 3, 4, 5, 678) + 0.912)).toBe("2026-01-02T03:04:05.678912Z");
  expect(rfc3339(1000)).toBe("1970-01-01T00:00:01.000000Z");
});
