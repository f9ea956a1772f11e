// Real processes: who they are by the cgroup that they are in.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { SharedFile } from "../../src/ffi/index.ts";
import {
  findProcess,
  identityOf,
  type OpenFile,
  ProcessLook,
  parseLocks,
} from "../../src/identity/index.ts";
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

describe("the process of a writer", () => {
  const path = `/dev/shm/microview-test-locks-${process.pid}`;
  afterAll(() => rmSync(path, { force: true }));
  const create = () => {
    writeFileSync(path, Buffer.alloc(65_536));
    return SharedFile.open(path, true);
  };
  /** A look, and who has which number inside. */
  const looking = (inside: Record<number, number[]> = {}) => {
    const look = new ProcessLook();
    return {
      inside: (pid: number) => inside[pid] ?? [],
      openings: (pid: number, file: OpenFile) => look.openings(pid, file),
    };
  };

  test("is the one that holds its lock", () => {
    using stack = new DisposableStack();
    const file = stack.adopt(create(), (each) => each.close());
    const other = stack.adopt(SharedFile.open(path, true), (each) => each.close());
    file.lock(4096, 4096);
    // Neighbours of one opening become one lock.
    other.lock(8192, 4096);
    other.lock(12_288, 4096);
    const find = (offset: number) =>
      findProcess(process.pid, file.stat(), { offset, bytes: 4096 }, looking());
    expect(find(4096)).toBe(process.pid);
    expect(find(12_288)).toBe(process.pid);
    expect(find(16_384)).toBeUndefined();
    expect(find(6000)).toBeUndefined();
    // By the number that it has in another namespace.
    const inside = looking({ 7: [1, process.pid] });
    const lock = { offset: 4096, bytes: 4096 };
    expect(findProcess(7, file.stat(), lock, inside)).toBe(process.pid);
    expect(findProcess(8, file.stat(), lock, inside)).toBeUndefined();
  });

  test("is the only one that has the file open, while there are no locks to be seen", () => {
    using stack = new DisposableStack();
    const file = stack.adopt(create(), (each) => each.close());
    const lock = { offset: 4096, bytes: 4096 };
    expect(findProcess(process.pid, file.stat(), lock, looking())).toBe(process.pid);
    const twice = looking({ [process.pid]: [process.pid] });
    expect(findProcess(process.pid, file.stat(), lock, twice)).toBeUndefined();
  });

  test("is none that has not the file open", () => {
    const lock = { offset: 0, bytes: 1 };
    expect(findProcess(process.pid, { inode: 1, device: 1 }, lock, looking())).toBeUndefined();
    expect(findProcess(0xffff_ffff, { inode: 1, device: 1 }, lock, looking())).toBeUndefined();
  });
});

test("locks of an open file are read as the kernel tells them", () => {
  const text =
    "pos:\t0\nflags:\t02100002\nlock:\t1: OFDLCK  ADVISORY  WRITE -1 00:1b:214336 135270464 135274495\nlock:\t2: OFDLCK ADVISORY  READ -1 00:1b:214336 0 EOF\nlock:\t3: POSIX  ADVISORY  WRITE 7 00:1b:214336 1 2\n";
  expect(parseLocks(text)).toEqual([
    { first: 135270464, last: 135274495 },
    { first: 0, last: Number.POSITIVE_INFINITY },
  ]);
  expect(parseLocks("")).toEqual([]);
});
