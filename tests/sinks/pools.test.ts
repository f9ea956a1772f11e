// What sinks keep of pools.

import { expect, test } from "bun:test";
import { PoolStates, Rounds } from "../../src/sinks/pools.ts";
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

test("an application that has ended is forgotten at once, and one whose source is away is not", () => {
  const snapshot = new Source(scratch).snapshot(0);
  const states = new PoolStates<object>();
  const shop = states.of(snapshot, () => ({}));
  states.gone("host:7070");
  expect(states.of(snapshot, () => ({}))).toBe(shop);
  states.gone("host:7070", "shop");
  expect(states.size).toBe(0);
});

test("a round ends when one of its pools comes again, or when all of them are gone", () => {
  const rounds = new Rounds();
  const begins = (app: string) => rounds.begins({ source: "host:7070", app });
  expect([begins("shop"), begins("bank"), begins("shop")]).toEqual([false, false, true]);
  // The shop was all that the round had so far.
  rounds.gone("host:7070", "shop");
  expect([begins("bank"), begins("mint")]).toEqual([true, false]);
  rounds.gone("host:7070", "bank");
  expect(begins("shop")).toBe(false);
  rounds.gone("host:7070");
  expect([begins("inn"), begins("inn")]).toEqual([true, true]);
  rounds.gone("host:7070", "inn");
  expect(begins("inn")).toBe(true);
});
