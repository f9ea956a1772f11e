// What a lake does on a disk that is full: it says so, keeps what it has taken, and goes on when there is room.

import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { outcomeOf } from "../support/outcome.ts";

const canMount =
  process.getuid?.() === 0 &&
  Bun.which("unshare") !== null &&
  Bun.spawnSync(["unshare", "--mount", "true"], { stderr: "ignore" }).success;

test.skipIf(!canMount)("a full disk loses nothing that was taken", async () => {
  await using host = new TestHost();
  const dir = join(host.folder, "disk");
  mkdirSync(dir);
  const program = join(ROOT, "tests/lake/fixtures/full-disk.ts");
  const child = Bun.spawn(["unshare", "--mount", process.execPath, program, dir], {
    ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  });
  const { stdout, stderr } = await outcomeOf(host.own(child));
  expect(stderr).toBe("");
  const { codes, more, taken, blocks } = JSON.parse(stdout);
  expect(codes).toEqual(["disk-full", "disk-full"]);
  expect(more).toBeTrue();
  expect(blocks).toBe(taken);
});
