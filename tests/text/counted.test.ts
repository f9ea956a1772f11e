// Numbers of things.

import { expect, test } from "bun:test";
import { counted } from "../../src/text/index.ts";

test("one thing is in the singular, and none or many in the plural", () => {
  expect([0, 1, 2].map((count) => counted(count, "application"))).toEqual([
    "0 applications",
    "1 application",
    "2 applications",
  ]);
});

test("a plural of its own is taken as it is", () => {
  expect(counted(2, "is", "are")).toBe("2 are");
});
