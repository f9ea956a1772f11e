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
  { count: 1, stores: [1, 0], fileEvents: 3, agentDeaths: 1, kills: 1, waits: 0 },
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
  const [kills, waits, deaths] = SMALL as [Bounds, Bounds, Bounds];
  const mistakes: [string, Bounds, Mistakes][] = [
    ["a writer that leaves before it has arrived", kills, { leavesFirst: true }],
    ["a lost pool that can be read on", kills, { lostIsReadable: true }],
    ["an agent that copies on while a writer moves", kills, { copiesAlways: true }],
    ["an agent that always takes the lost place of the dead", waits, { takesLostPlace: true }],
    ["a writer that lets go of a place before the next", deaths, { letsGoEarly: true }],
    ["a writer that brings along what was counted", waits, { bringsCounted: true }],
    ["a writer that leaves its values in its old place", deaths, { keepsOldPlace: true }],
  ];
  for (const [what, bounds, mistake] of mistakes) {
    test(what, () => {
      expect(explore(new Model(bounds, mistake)).found).toBeDefined();
    }, 120_000);
  }
});
