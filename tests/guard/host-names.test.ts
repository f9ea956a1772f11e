// By which names a host may be asked.

import { expect, test } from "bun:test";
import { HostNames } from "../../src/guard/host-names.ts";

test("a host name may be a wildcard of one level, and of nothing more", () => {
  const names = new HostNames(["*.example.com"]);
  const asked = ["a.example.com", "example.com", ".example.com", "a.b.example.com", "aexample.com"];
  expect(asked.map((name) => names.has(name))).toEqual([true, false, false, false, false]);
});
