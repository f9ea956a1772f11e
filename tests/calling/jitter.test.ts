// Pauses that differ by chance.

import { expect, test } from "bun:test";
import { jittered } from "../../src/calling/index.ts";

test("a pause is a quarter longer or shorter at most, and not the same each time", () => {
  const pauses = Array.from({ length: 1000 }, () => jittered(1000));
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(750);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(1250);
  expect(new Set(pauses).size).toBeGreaterThan(1);
});
