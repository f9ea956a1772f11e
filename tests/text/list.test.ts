// Several values in one text.

import { expect, test } from "bun:test";
import { splitList } from "../../src/text/index.ts";

test("a list splits at commas, but not within a glob's braces", () => {
  expect(splitList("a, b,,http_{requests,errors}_total")).toEqual([
    "a",
    "b",
    "http_{requests,errors}_total",
  ]);
});
