import { expect, test } from "bun:test";
import { WorkBudget } from "../../src/agent/registry/work-budget.ts";

test("work goes on until its time is spent, and again when its share has made up for it", () => {
  const budget = new WorkBudget(0.1, 200, 0);
  expect(budget.waitS(0)).toBe(0);
  budget.spent(199, 0);
  expect(budget.waitS(0)).toBe(0);
  budget.spent(401, 0);
  // 400 ms too much, at a tenth of the time.
  expect(budget.waitS(0)).toBe(5);
  expect(budget.waitS(3_000)).toBe(2);
  expect(budget.waitS(4_000)).toBe(1);
  expect(budget.waitS(4_001)).toBe(0);
});

test("a quiet while saves up no more than the burst, and a clock that stands still nothing", () => {
  const budget = new WorkBudget(0.5, 100, 0);
  budget.spent(101, 1_000_000);
  expect(budget.waitS(1_000_000)).toBe(1);
  expect(budget.waitS(999_000)).toBe(1);
});
