// The trial of the folder that pools lie in: whoever else may write there cannot make it fail.

import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PoolPlace } from "../../src/agent/place.ts";

test("a trial is made under a name that nobody can have taken before, and leaves nothing", () => {
  const folder = mkdtempSync("/dev/shm/microview-place-");
  try {
    const taken = `.microview-probe-${process.pid}`;
    mkdirSync(join(folder, taken));
    new PoolPlace(folder, 0o660, undefined).tryOut();
    expect(readdirSync(folder)).toEqual([taken]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
