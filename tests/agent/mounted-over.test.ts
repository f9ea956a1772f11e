// Another file system over the folder of the pools, as when a container's volume is made again: its files may have the
// same names and inodes.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/host.ts";
import { canMount } from "../support/permissions.ts";
import { surroundings } from "../support/surroundings.ts";

const canUnshare =
  canMount && Bun.spawnSync(["unshare", "--mount", "true"], { stderr: "ignore" }).success;
if (!canUnshare) console.warn("only root can mount: a test is skipped");

test.skipIf(!canUnshare)(
  "a pool of the same name and inode in another file system is another pool to everybody",
  async () => {
    const folder = mkdtempSync("/tmp/microview-mounted-");
    try {
      const program = join(ROOT, "tests/support/mounted-over.ts");
      const child = Bun.spawn(["unshare", "--mount", process.execPath, program, folder], {
        stdout: "pipe",
        stderr: "pipe",
        env: surroundings(),
      });
      const [out, error] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      if ((await child.exited) !== 0) throw new Error(error);
      expect(JSON.parse(out)).toEqual({
        sameInode: true,
        before: { read: true, attached: true, inspected: true },
        after: { read: true, attached: false, inspected: false },
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
