// JSON of those who may send anything.

import { expect, test } from "bun:test";
import { parseFlatJson } from "../../src/calling/index.ts";

test("what an agent may answer is parsed, whatever stands in its texts", () => {
  const answer = { runs: [[1, 2, 3]], message: '[[[[[[[[[[[[[[[[[[[["{{{{\\', empty: {} };
  expect(parseFlatJson(JSON.stringify(answer))).toEqual(answer);
  const deepest = `${"[".repeat(16)}${"]".repeat(16)}`;
  expect(JSON.stringify(parseFlatJson(deepest))).toBe(deepest);
  const many = `[${"[],".repeat(100)}[]]`;
  expect(JSON.stringify(parseFlatJson(many))).toBe(many);
});

test("what is deeper is refused before anything is made of it", () => {
  for (const open of ["[", '{"a":', '[{"a":']) {
    expect(() => parseFlatJson(open.repeat(1 << 20))).toThrow("nested more than 16 levels");
  }
  expect(() => parseFlatJson("]]]]")).toThrow(SyntaxError);
  expect(() => parseFlatJson('"\\')).toThrow(SyntaxError);
});
