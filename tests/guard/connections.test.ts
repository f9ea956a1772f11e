// Of too many connections those are ended that leave the others most.

import { describe, expect, test } from "bun:test";
import { tooMany } from "../../src/guard/connections.ts";

/** Connections in the order in which they came, each a letter for where it is from. */
function ended(origins: string, max: number, eachMax: number): string {
  const connections = [...origins].map((origin, number) => ({ origin, number }));
  const gone = new Set(tooMany(connections, max, eachMax));
  return connections.map((each) => (gone.has(each) ? "." : each.origin)).join("");
}

describe("of too many connections", () => {
  test.each([
    ["none is ended where there is room", "aabbc", 5, 3, "aabbc"],
    ["an origin keeps as many as one may have", "aaaaba", 9, 2, "aa..b."],
    ["those of the origin that has the most are ended first", "aaaaabbc", 5, 5, "aa...bbc"],
    ["several origins that have many have equally many left", "aaaabbbbcd", 6, 9, "aa..bb..cd"],
    ["those that came first stay where all have equally many", "abcdef", 4, 9, "abcd.."],
    ["an origin's own limit makes room for others", "aaaabcd", 5, 2, "aa..bcd"],
  ])("%s", (_, origins, max, eachMax, left) => {
    expect(ended(origins, max, eachMax)).toBe(left);
  });

  test("all but as many as may be are ended, of however many origins", () => {
    const connections = Array.from({ length: 50_000 }, (_, i) => ({ origin: `${i}` }));
    expect(tooMany(connections, 1_024, 256)).toEqual(connections.slice(1_024));
  });
});
