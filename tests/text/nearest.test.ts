// The word that a mistyped one was meant to be.

import { describe, expect, test } from "bun:test";
import { editDistance, nearest } from "../../src/text/nearest.ts";

describe("the nearest word", () => {
  test("counts a swap of neighbours as one edit", () => {
    expect(editDistance("intreval", "interval")).toBe(1);
    expect(editDistance("", "abc")).toBe(3);
  });

  test("is none when nothing is near", () => {
    expect(nearest("zebra", ["agent", "collect"])).toBeUndefined();
  });

  test("may be the one that the word begins", () => {
    expect(nearest("comp", ["collect", "completion"])).toBe("completion");
  });
});
