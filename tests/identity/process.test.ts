// Real processes: who they are by the cgroup that they are in.

import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { findProcess, identityOf } from "../../src/identity/index.ts";
import { UNKNOWN_IDENTITY } from "../../src/layout/index.ts";
import { until } from "../support/wait.ts";

/** A cgroup of our own below which containers can be made, with either version; undefined where that is not allowed. */
function ownCgroup(): string | undefined {
  for (const root of ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]) {
    if (!existsSync(`${root}/cgroup.procs`)) continue;
    const path = `${root}/microview-test-${process.pid}`;
    try {
      mkdirSync(path);
      return path;
    } catch {
      // Not for this user, or not mounted for writing.
    }
  }
  return undefined;
}

const cgroup = ownCgroup();
afterAll(() => {
  if (cgroup !== undefined) rmdirSync(cgroup);
});

test.skipIf(cgroup === undefined)(
  "a process is of the container whose cgroup it is in",
  async () => {
    const containerId = "3f9a1c2b4d5e6f70".repeat(4);
    const scope = `${cgroup}/docker-${containerId}.scope`;
    mkdirSync(scope);
    const child = Bun.spawn(["sleep", "100"]);
    try {
      writeFileSync(`${scope}/cgroup.procs`, String(child.pid));
      expect(identityOf(child.pid)).toEqual({
        ...UNKNOWN_IDENTITY,
        runtime: "docker",
        containerId,
      });
    } finally {
      child.kill("SIGKILL");
      await child.exited;
      await until("its cgroup is empty", () => {
        rmdirSync(scope);
        return true;
      });
    }
    expect(identityOf(child.pid)).toBeUndefined();
  },
);

test("a process that has not the file open is not meant", () => {
  expect(findProcess(process.pid, { inode: 1, device: 1 }, () => new Map())).toBeUndefined();
  expect(findProcess(0xffff_ffff, { inode: 1, device: 1 }, () => new Map())).toBeUndefined();
});
