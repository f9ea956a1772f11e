// What other users put into /dev/shm under names of pools is named, left alone and costs nothing; and nobody who makes
// such files keeps an application from being served.

import { expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/host.ts";
import { outcomeOf } from "../support/outcome.ts";
import { asNobody, canMount } from "../support/permissions.ts";
import { surroundings } from "../support/surroundings.ts";

const canUnshare =
  canMount && Bun.spawnSync(["unshare", "--mount", "true"], { stderr: "ignore" }).success;
if (!canUnshare) console.warn("only root can have a /dev/shm of its own: some tests are skipped");

/** Runs a program of the tests with an empty /dev/shm of its own. @returns what it has printed */
async function withOwnShm(file: string): Promise<unknown> {
  const folder = mkdtempSync("/tmp/microview-strangers-");
  chmodSync(folder, 0o755);
  try {
    const run = `mount -t tmpfs -o size=256m,mode=1777 tmpfs /dev/shm && exec "$0" "$@"`;
    const child = Bun.spawn(
      ["unshare", "--mount", "sh", "-c", run, process.execPath, join(ROOT, file), folder],
      { stdout: "pipe", stderr: "pipe", env: surroundings() },
    );
    const { exitCode, stdout, stderr } = await outcomeOf(child);
    if (exitCode !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test.skipIf(!canUnshare)(
  "files of strangers are left alone, and every application is served",
  async () => {
    const found = (await withOwnShm("tests/support/strangers.ts")) as {
      startedMs: number;
      filesMore: number;
      mibMore: number;
      logged: { path?: string; reason?: string }[];
      shown: Record<string, number>;
      told: string[];
      warned: number;
      linked: boolean;
      kept: string;
      paths: string[];
      adopted: string[];
      changed: unknown[];
    };
    const apps = ["shop", "five", "pipe", "folder", "link", "device", "huge", "bank"];
    expect(found.shown).toEqual(Object.fromEntries(apps.map((app) => [app, 3])));
    expect(found.changed).toEqual([]);
    expect(found.filesMore).toBeLessThan(100);
    expect(found.mibMore).toBeLessThan(200);
    // Named once each, up to a number that nobody can drive up.
    const named = found.logged.map(({ path }) => path);
    expect(new Set(named).size).toBe(named.length);
    expect(found.logged.length).toBeLessThan(60);
    const reasonOf = (app: string) =>
      found.told.find((line) => line.startsWith(`damaged ${app}: `));
    expect(reasonOf("shop")).toContain("it belongs to user 65534, not to user 0");
    expect(reasonOf("pipe")).toContain("it is a FIFO");
    expect(reasonOf("folder")).toContain("it is a folder");
    expect(reasonOf("link")).toContain("it is a symbolic link");
    expect(reasonOf("device")).toContain("it is a device");
    expect(new Set(found.told).size).toBe(found.told.length);
    expect(found.told.length).toBe(21);
    expect(found.warned).toBe(11);
    expect(found.linked).toBe(true);
    expect(found.kept).toBe("mine");
    expect(found.paths).toContain("/dev/shm/microview.bank");
    expect(found.paths.find((path) => path.startsWith("/dev/shm/microview.shop~"))).toBeDefined();
    expect(found.adopted).toEqual(found.paths);
  },
);

test.skipIf(!canUnshare || asNobody === undefined)(
  "agents of two users with the default place get along, and each user reads his own",
  async () => {
    expect(await withOwnShm("tests/support/two-users.ts")).toEqual({
      root: 3,
      nobody: 5,
      "root's other application": true,
      "nobody's other application": true,
    });
  },
);
