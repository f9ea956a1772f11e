// Files that a person names, and what is said of those that cannot be read: what is wrong, and the path once.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readPlainFile, readTextFile, SettingError } from "../../src/settings/index.ts";

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

test("a FIFO is refused at once, whether or not somebody writes to it", () => {
  const path = join(folder, "fifo");
  Bun.spawnSync(["mkfifo", path]);
  const refusal = `cannot read ${path}: it is no plain file`;
  expect(() => readTextFile(path, "--ca")).toThrow(`--ca: ${refusal}`);
  expect(() => readPlainFile(path)).toThrow(refusal);
  expect(() => readPlainFile("/dev/zero")).toThrow("cannot read /dev/zero: it is no plain file");
});

test("a file is read up to 1 MiB", () => {
  const path = join(folder, "long");
  writeFileSync(path, "a".repeat(1 << 20));
  expect(readTextFile(path, "--ca")).toHaveLength(1 << 20);
  writeFileSync(path, "a".repeat((1 << 20) + 1));
  expect(() => readTextFile(path, "--ca")).toThrow(
    `--ca: cannot read ${path}: it is longer than 1 MiB`,
  );
});
