// The trial of the folder that pools lie in: whoever else may write there cannot make it fail.

import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { PoolPlace } from "../../src/agent/pool/place.ts";
import { SharedFile } from "../../src/ffi/index.ts";
import { poolPath } from "../../src/layout/index.ts";

const LOCKER = join(import.meta.dir, "fixtures/lock-for-reading.ts");

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

test("a lock for reading, which whoever may read a pool can take, is not another agent's", async () => {
  const folder = mkdtempSync("/dev/shm/microview-place-");
  const place = new PoolPlace(folder, 0o660, undefined);
  const path = poolPath("microview", folder);
  mkdirSync(dirname(path));
  writeFileSync(path, new Uint8Array(4096));
  const reader = Bun.spawn([process.execPath, LOCKER, path], { stdout: "pipe" });
  try {
    const { value } = await reader.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("locked\n");
    place.tryOut();
    const agent = SharedFile.open(path, true);
    expect(agent.locked(0, 4096)).toBe(false);
    reader.kill("SIGKILL");
    await reader.exited;
    expect(agent.lock(0, 4096)).toBe(true);
    expect(() => place.tryOut()).toThrow("another agent");
    agent.close();
  } finally {
    reader.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  }
});
