// Whose ring is next, when one user has more than there is time for.

import { describe, expect, test } from "bun:test";
import { Turns } from "../../../src/events/shipping/turns.ts";

/** Rounds in which each look takes some time. */
function turnsOf(lookMs: number, roundMs: number) {
  const turns = new Turns<string>();
  let nowMs = 0;
  const round = (act: (item: string, isOver: () => boolean) => boolean = () => true) => {
    const seen: string[] = [];
    const isAll = turns.round(
      (item, isOver) => {
        seen.push(item);
        nowMs += lookMs;
        return act(item, isOver);
      },
      { roundMs, clockMs: () => nowMs },
    );
    return { seen: seen.join(" "), isAll };
  };
  return { turns, round };
}

describe("turns", () => {
  test("go from user to user, and each item has one in a round", () => {
    const { turns, round } = turnsOf(1, 1000);
    for (const item of ["a1", "a2", "a3"]) turns.add(1, item);
    turns.add(2, "b1");
    expect(round()).toEqual({ seen: "a1 b1 a2 a3", isAll: true });
  });

  test("end for a user whose time is over, who goes on there in the next round", () => {
    const { turns, round } = turnsOf(10, 40);
    for (let n = 1; n <= 5; n++) turns.add(1, `a${n}`);
    turns.add(2, "b1");
    expect(round()).toEqual({ seen: "a1 b1 a2", isAll: false });
    expect(round()).toEqual({ seen: "a3 b1 a4", isAll: false });
    expect(round()).toEqual({ seen: "a5 b1 a1", isAll: false });
  });

  test("are one at least, however long that takes", () => {
    const { turns, round } = turnsOf(1000, 1);
    turns.add(1, "a1");
    turns.add(2, "b1");
    expect(round()).toEqual({ seen: "a1 b1", isAll: true });
  });

  test("tell while an item has its turn when it is others'", () => {
    const { turns, round } = turnsOf(6, 20);
    turns.add(1, "a1");
    turns.add(1, "a2");
    turns.add(2, "b1");
    const over: string[] = [];
    round((item, isOver) => {
      if (isOver()) over.push(item);
      return true;
    });
    expect(over).toEqual(["a2"]);
  });

  test("end at once when nothing more is taken, and skip what was removed meanwhile", () => {
    const { turns, round } = turnsOf(1, 1000);
    for (const item of ["a1", "a2", "a3"]) turns.add(1, item);
    expect(round((item) => item !== "a2")).toEqual({ seen: "a1 a2", isAll: false });
    turns.remove(1, "a3");
    expect(round(() => true)).toEqual({ seen: "a1 a2", isAll: true });
    turns.remove(1, "a1");
    turns.remove(1, "a2");
    expect([turns.of(1).size, round()]).toEqual([0, { seen: "", isAll: true }]);
  });
});
