// When a run that is to end after so many rounds has read every pool so often.

import { expect, test } from "bun:test";
import { RunProgress } from "../../src/collector/run-progress.ts";

const A = { source: "a:7070", app: "shop" };
const B = { source: "b:7070", app: "shop" };

test("rounds are complete when every pool of every agent was read so often", () => {
  const rounds = new RunProgress(2, 2);
  rounds.expect(A.source, 1);
  expect(rounds.take(A)).toBe(true);
  expect(rounds.isComplete(1)).toBe(false);
  rounds.expect(B.source, 1);
  rounds.take(B);
  expect(rounds.isComplete(1)).toBe(true);
  expect(rounds.isComplete()).toBe(false);
  rounds.take(A);
  rounds.take(B);
  expect(rounds.isComplete()).toBe(true);
});

test("a pool that has delivered what was asked for delivers no more", () => {
  const rounds = new RunProgress(1, 1);
  expect([rounds.take(A), rounds.take(A)]).toEqual([true, false]);
});

test("a pool that cannot be read keeps the others waiting no longer, until it is read again", () => {
  const rounds = new RunProgress(1, 1);
  rounds.expect(A.source, 2);
  rounds.take(A);
  expect(rounds.isComplete()).toBe(false);
  const broken = { ...A, app: "broken" };
  rounds.giveUp(broken);
  expect(rounds.isComplete()).toBe(true);
  rounds.take(broken);
  expect(rounds.isComplete()).toBe(true);
});

test("agents without pools are complete once they are connected, and have been read of nothing", () => {
  const rounds = new RunProgress(1, 1);
  expect([rounds.isComplete(), rounds.expectedOf(A.source)]).toEqual([false, undefined]);
  rounds.expect(A.source, 0);
  expect([rounds.isComplete(), rounds.isEmpty]).toEqual([true, true]);
});

test("a run without an end is complete when every pool was read once or cannot be, and remembers no more names", () => {
  const rounds = new RunProgress(2, Number.POSITIVE_INFINITY);
  rounds.expect(A.source, 2);
  expect(rounds.isEmpty).toBe(true);
  expect([rounds.take(A), rounds.take(A)]).toEqual([true, true]);
  rounds.giveUp({ ...A, app: "broken" });
  expect(rounds.isComplete(1)).toBe(false);
  rounds.expect(B.source, 1);
  expect(rounds.isComplete(1)).toBe(false);
  for (let i = 0; i < 1000; i++) {
    expect(rounds.take({ ...B, app: `job-${i}` })).toBe(true);
    rounds.giveUp({ ...B, app: `lost-${i}` });
  }
  expect([rounds.isEmpty, rounds.isComplete(1), rounds.isComplete()]).toEqual([false, true, false]);
  expect(rounds.size).toBe(3);
});
