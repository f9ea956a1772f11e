// All interleavings of what can happen to two writers, an agent and a file, in a small model: nothing is counted twice,
// nothing that is shown steps back, and in the end all is there. LOST_POOL_MODEL=large takes minutes.

import { describe, expect, test } from "bun:test";
import { type Bounds, explore, type Mistakes, Model } from "./lost-pool-model.ts";

const SMALL: Bounds[] = [
  { count: 2, stores: [1, 1], fileEvents: 1, agentDeaths: 1, kills: 1, waits: 0 },
  { count: 1, stores: [2, 0], fileEvents: 2, agentDeaths: 1, kills: 1, waits: 1 },
  { count: 1, stores: [1, 0], fileEvents: 2, agentDeaths: 2, kills: 0, waits: 0 },
];
const LARGE: Bounds[] = [
  { count: 2, stores: [1, 1], fileEvents: 2, agentDeaths: 1, kills: 1, waits: 0 },
  { count: 1, stores: [2, 0], fileEvents: 3, agentDeaths: 2, kills: 1, waits: 1 },
];
const isLarge = process.env["LOST_POOL_MODEL"] === "large";

describe("a writer whose pool is lost", () => {
  for (const bounds of isLarge ? LARGE : SMALL) {
    const { count, stores, fileEvents, agentDeaths, kills } = bounds;
    const what = `${count} writers, ${stores.join(" and ")} stores, ${fileEvents} file events, ${agentDeaths} deaths of the agent, ${kills} kills`;
    test(`is counted once, whatever the order of ${what}`, () => {
      const { states, found } = explore(new Model(bounds));
      expect(found).toBeUndefined();
      expect(states).toBeGreaterThan(1_000);
    }, 600_000);
  }
});

describe("the model notices", () => {
  const mistakes: [string, Mistakes][] = [
    ["a writer that leaves before it has arrived", { leavesFirst: true }],
    ["a lost pool that can be read on", { lostIsReadable: true }],
    ["an agent that copies on while a writer moves", { copiesAlways: true }],
    ["an agent that takes the lost place whatever is in the new one", { takesLostPlace: true }],
    ["a writer that brings along what was counted", { bringsCounted: true }],
    ["a writer that leaves its values in its old place as well", { keepsOldPlace: true }],
  ];
  for (const [what, mistake] of mistakes) {
    test(what, () => {
      const found = SMALL.map((bounds) => explore(new Model(bounds, mistake)).found);
      expect(found.some((each) => each !== undefined)).toBe(true);
    }, 120_000);
  }
});
