// Which files are opened as rings, and when those are tried again that could not be.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type NotTaken, RingFinder, type RingFinderOptions } from "../../src/events/ring-finder.ts";
import { ringPath } from "../../src/layout/index.ts";

const LATER = 30;

let poolDir: string;
let told: string[];
let released: string[];
beforeEach(() => {
  poolDir = mkdtempSync("/tmp/microview-test-");
  mkdirSync(`${poolDir}/shop`);
  [told, released] = [[], []];
});
afterEach(() => rmSync(poolDir, { recursive: true, force: true }));

function finder(options: Partial<RingFinderOptions<object>> = {}) {
  return new RingFinder<object>({
    poolDir,
    tries: 3,
    retryAfter: 0,
    retryAfterTold: LATER,
    onUnopened: (path, reason) => told.push(`${path}: ${reason}`),
    onRelease: (path) => released.push(path),
    ...options,
  });
}

function file(number: number): string {
  const path = ringPath("shop", number.toString(16).padStart(16, "0"), poolDir);
  writeFileSync(path, "");
  return path;
}

/** @returns the paths that a find at this time has tried to open */
function tried(found: RingFinder<object>, now: number, outcome: () => object | NotTaken): string[] {
  const paths: string[] = [];
  found.find(now, ({ path }) => {
    paths.push(path);
    return outcome();
  });
  return paths;
}

const taken = () => ({});
const fails = () => {
  throw new Error("it is no ring");
};

describe("a finder of rings", () => {
  test("opens a ring once, and lets go of it once", () => {
    const path = file(1);
    const found = finder();
    expect(tried(found, 0, taken)).toEqual([path]);
    expect(tried(found, 1, taken)).toEqual([]);
    expect([...found.held.keys()]).toEqual([path]);
    found.release(path);
    found.close();
    expect(released).toEqual([path]);
    expect(tried(found, 2, taken)).toEqual([]);
  });

  test("looks again at a ring that was let go of when it is told to, and at a new file of its name at once", () => {
    const path = file(1);
    const found = finder();
    tried(found, 0, taken);
    found.release(path, 100);
    expect(tried(found, 99, taken)).toEqual([]);
    expect(tried(found, 100, taken)).toEqual([path]);
    found.release(path);
    rmSync(path);
    expect(tried(found, 101, taken)).toEqual([]);
    file(1);
    expect(tried(found, 102, taken)).toEqual([path]);
  });

  test("tries a file that fails so many times, tells it once, and then tries it rarely", () => {
    const path = file(1);
    const found = finder();
    for (const now of [0, 1]) {
      expect(tried(found, now, fails)).toEqual([path]);
      expect(told).toEqual([]);
    }
    expect(tried(found, 2, fails)).toEqual([path]);
    expect(told).toEqual([`${path}: it is no ring`]);
    expect(tried(found, 1 + LATER, fails)).toEqual([]);
    expect(tried(found, 2 + LATER, fails)).toEqual([path]);
    expect(told).toHaveLength(1);
  });

  test("asks for a busy ring each time, for a foreign one rarely, and for an unwanted one never again", () => {
    const path = file(1);
    const found = finder();
    for (const now of [0, 1]) expect(tried(found, now, () => "busy")).toEqual([path]);
    expect(tried(found, 2, () => "foreign")).toEqual([path]);
    expect(tried(found, 1 + LATER, () => "unwanted")).toEqual([]);
    expect(tried(found, 2 + LATER, () => "unwanted")).toEqual([path]);
    expect(tried(found, 1e9, taken)).toEqual([]);
    expect(told).toEqual([]);
  });

  test("tries no more files again at a time than it may, those first that wait longest, and new ones before them", () => {
    const old = [file(1), file(2), file(3)];
    const found = finder({ retriesMax: 2 });
    const first = tried(found, 0, fails);
    expect(first.toSorted()).toEqual(old);
    const fresh = file(4);
    expect(tried(found, 1, fails)).toEqual([fresh, first[0]!, first[1]!]);
    expect(tried(found, 2, fails)).toEqual([first[2]!, fresh]);
  });

  test("holds no more rings than it may", () => {
    for (const number of [1, 2, 3]) file(number);
    const found = finder({ ringsMax: 2 });
    tried(found, 0, taken);
    expect(found.held.size).toBe(2);
    found.forget(found.held.keys().next().value!);
    expect(tried(found, 1, taken)).toHaveLength(1);
  });

  test("throws for a folder that is gone, unless somebody else tells it", () => {
    rmSync(poolDir, { recursive: true });
    expect(() => tried(finder(), 0, taken)).toThrow("ENOENT");
    expect(tried(finder({ isFolderTold: true }), 0, taken)).toEqual([]);
  });
});
