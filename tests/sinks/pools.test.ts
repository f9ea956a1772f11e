// What sinks keep of pools.

import { expect, test } from "bun:test";
import { PoolStates } from "../../src/sinks/pools.ts";
import { Scratch } from "../support/pools.ts";
import { Source } from "./snapshots.ts";

const scratch = new Scratch();

test("pools that come no more are forgotten, and those that are read are not", () => {
  const snapshot = new Source(scratch).snapshot(0);
  const states = new PoolStates<object>();
  const at = (app: string, minute: number) =>
    states.of({ ...snapshot, app, monotonicNs: minute * 60e9 }, () => ({}));
  const shop = at("shop", 0);
  let most = 0;
  for (let minute = 1; minute < 1000; minute++) {
    const job = at(`job-${minute}`, minute);
    expect(at("shop", minute)).toBe(shop);
    expect(at(`job-${minute}`, minute)).toBe(job);
    most = Math.max(most, states.size);
  }
  expect(most).toBeLessThan(100);
});
