// The message about a thread that has failed: real threads, and what Bun says about them.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { threadFault } from "../../src/text/index.ts";

async function messageOf(program: string): Promise<string> {
  const folder = mkdtempSync("/tmp/microview-test-");
  const path = join(folder, "thread.ts");
  writeFileSync(path, program);
  const worker = new Worker(path);
  try {
    return await new Promise((resolve) => {
      worker.onerror = ({ message }) => resolve(message);
    });
  } finally {
    worker.terminate();
    rmSync(folder, { recursive: true });
  }
}

test.each([
  ["an error", 'throw new Error("no room")', "no room"],
  ["an error of a kind", 'throw new RangeError("beyond the end")', "RangeError: beyond the end"],
  ["an error of two lines", 'throw new Error("one\\ntwo")', "one two"],
  ["a text", 'throw "words"', "words"],
])("%s that a thread has thrown is shown without its source", async (_, statement, expected) => {
  const message = await messageOf(`const a = 1;\nsetTimeout(() => { ${statement}; });`);
  expect(threadFault(message)).toBe(expected);
});

test("a message of another form is left as it is", () => {
  for (const text of ["", "words", "a\tb", "1 | "]) expect(threadFault(text)).toBe(text.trim());
});
