import { expect, test } from "bun:test";
import { Pace } from "../../src/agent/pace.ts";

test("work goes on until its time is spent, and again when its share has made up for it", () => {
  const pace = new Pace(0.1, 200, 0);
  expect(pace.waitS(0)).toBe(0);
  pace.spent(199, 0);
  expect(pace.waitS(0)).toBe(0);
  pace.spent(401, 0);
  // 400 ms too much, at a tenth of the time.
  expect(pace.waitS(0)).toBe(5);
  expect(pace.waitS(3_000)).toBe(2);
  expect(pace.waitS(4_000)).toBe(1);
  expect(pace.waitS(4_001)).toBe(0);
});

test("a quiet while saves up no more than the burst, and a clock that stands still nothing", () => {
  const pace = new Pace(0.5, 100, 0);
  pace.spent(101, 1_000_000);
  expect(pace.waitS(1_000_000)).toBe(1);
  expect(pace.waitS(999_000)).toBe(1);
});
