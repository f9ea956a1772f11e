// Files that a person names, and what is said of those that cannot be read: what is wrong, and the path once.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readTextFile, SettingError } from "../../src/settings/index.ts";

const folder = mkdtempSync("/tmp/microview-test-");
afterAll(() => rmSync(folder, { recursive: true }));

test("a file is read as it is", () => {
  const path = join(folder, "text");
  writeFileSync(path, " a\nb \n");
  expect(readTextFile(path, "--ca")).toBe(" a\nb \n");
});

test.each([
  ["there is no such file", "/no/such/file"],
  ["a part of its path is no directory", "/etc/passwd/file"],
  ["it is a directory", "/etc"],
  ["ENAMETOOLONG", `/${"x".repeat(300)}`],
])("a file is refused because %s, with its path told once", (reason, path) => {
  const read = () => readTextFile(path, "--ca");
  expect(read).toThrow(SettingError);
  expect(read).toThrow(new Error(`--ca: cannot read ${path}: ${reason}`));
});

test("an empty file is refused", () => {
  const path = join(folder, "empty");
  writeFileSync(path, " \n");
  expect(() => readTextFile(path, "--ca")).toThrow(`--ca: ${path} is empty`);
});
