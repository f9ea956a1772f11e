// When a pool has ended for those who send: at once when that is said, and after a while when it brings nothing.

import { expect, test } from "bun:test";
import { Presence } from "../../../src/sinks/delivery/presence.ts";
import { define, Scratch } from "../../support/pools.ts";
import { until } from "../../support/wait.ts";
import { Source } from "../snapshots.ts";

const scratch = new Scratch();

function presence(awayMs: number) {
  const ended: string[] = [];
  const watched = new Presence(awayMs, (source, app) => ended.push(`${app} of ${source}`));
  const source = new Source(scratch);
  source.writer.put(define.counter("c_total"), [], 1);
  return { watched, ended, snapshot: source.snapshot() };
}

test("a pool that brings nothing for long has ended, and ends again only after it was back", async () => {
  const { watched, ended, snapshot } = presence(8);
  watched.see(snapshot);
  await until("it has ended", () => ended.length > 0);
  watched.see({ ...snapshot, app: "later" });
  await until("another has ended", () => ended.length > 1);
  expect(ended).toEqual(["shop of host:7070", "later of host:7070"]);
  watched.see(snapshot);
  await until("it has ended again", () => ended.length > 2);
  watched.close();
  expect(ended.at(-1)).toBe("shop of host:7070");
});

test("one that is said to have ended begins again when it brings something", () => {
  const { watched, ended, snapshot } = presence(Number.POSITIVE_INFINITY);
  const before = watched.see(snapshot);
  before.sentMs = 5;
  expect(watched.see(snapshot)).toBe(before);
  watched.end("host:7070", "shop");
  expect(ended).toEqual(["shop of host:7070"]);
  expect(watched.see(snapshot).sentMs).toBe(Number.NEGATIVE_INFINITY);
  watched.close();
});
