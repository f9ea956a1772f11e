// Whoever may open a pool gets into the folders above it, and nobody else.

import { expect, test } from "bun:test";
import { lstatSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { folderMode, makeFolder } from "../../src/agent/pool/folder.ts";
import { poolPath } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("only root can give files to any group: some tests are skipped");
const GROUP = 54_321;

test.each([
  [0o660, 0o750],
  [0o600, 0o700],
  [0o640, 0o750],
  [0o666, 0o755],
])("pools of mode %o lie in folders of mode %o", (pool, folder) => {
  expect(folderMode(pool)).toBe(folder);
});

test("a folder has its mode whatever the umask is, and one that is there keeps its own", () => {
  const top = mkdtempSync("/tmp/microview-folder-");
  const umask = process.umask(0o077);
  try {
    makeFolder(join(top, "a/b"), 0o750, undefined);
    expect(lstatSync(join(top, "a/b")).mode & 0o777).toBe(0o750);
    mkdirSync(join(top, "mine"), { mode: 0o700 });
    makeFolder(join(top, "mine"), 0o750, undefined);
    expect(lstatSync(join(top, "mine")).mode & 0o777).toBe(0o700);
  } finally {
    process.umask(umask);
    rmSync(top, { recursive: true });
  }
});

test.skipIf(!isRoot)(
  "--group may enter the folders below --pool-dir, also those made without it",
  async () => {
    await using host = new TestHost();
    const poolDir = join(host.poolDir, "pools");
    const first = await host.agent({ poolDir });
    await host.client({ app: "bank" }).ready;
    await first.stop();
    expect(lstatSync(join(poolDir, "bank")).gid).not.toBe(GROUP);
    await host.agent({ poolDir, gid: GROUP });
    await host.client({ app: "shop" }).ready;
    for (const path of [poolDir, dirname(poolPath("shop", poolDir)), join(poolDir, "bank")]) {
      const { gid, mode } = lstatSync(path);
      expect({ path, gid, mode: mode & 0o777 }).toEqual({ path, gid: GROUP, mode: 0o750 });
    }
    expect(lstatSync(poolPath("shop", poolDir)).gid).toBe(GROUP);
  },
);
