// What killed demos leave in shared memory, and that a living one keeps what it has.

import { expect, test } from "bun:test";
import { existsSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InstanceLock } from "../../src/agent/instance-lock.ts";
import { DEMO_SOCKET, removeLeftovers } from "../../src/demo/leftovers.ts";
import { SharedFile } from "../../src/ffi/index.ts";
import { TestHost } from "../support/host.ts";

/** A demo's folder with something in it. */
function demoFolder(host: TestHost, name: string): string {
  const folder = join(host.poolDir, `microview-demo-${name}`);
  mkdirSync(join(folder, "pools/shop"), { recursive: true });
  writeFileSync(join(folder, "pools/shop/pool"), "counts");
  return folder;
}

function age(path: string, seconds: number): void {
  const then = Date.now() / 1000 - seconds;
  utimesSync(path, then, then);
}

test("the folder of a demo that was killed is removed, and of one that lives is not", async () => {
  await using host = new TestHost();
  const [dead, living] = [demoFolder(host, "dead"), demoFolder(host, "living")];
  const agent = await host.agentProcess("--socket", join(dead, DEMO_SOCKET));
  await agent.end("SIGKILL");
  const lock = InstanceLock.take(join(living, DEMO_SOCKET));
  for (const folder of [dead, living]) age(folder, 1e6);
  expect(removeLeftovers(host.poolDir)).toEqual([dead]);
  expect([dead, living].map(existsSync)).toEqual([false, true]);
  lock.release();
});

test("a folder whose demo is only just beginning is not removed", async () => {
  await using host = new TestHost();
  const fresh = demoFolder(host, "fresh");
  const unlocked = demoFolder(host, "unlocked");
  // Between making its lock and taking it.
  SharedFile.create(`${join(unlocked, DEMO_SOCKET)}.lock`, 0o644).close();
  expect(removeLeftovers(host.poolDir)).toEqual([]);
  // Nothing takes that long to begin.
  for (const folder of [fresh, unlocked]) age(folder, 3600);
  expect(removeLeftovers(host.poolDir).sort()).toEqual([fresh, unlocked]);
});

test("nothing else is removed: no file, no link and what it points to, no other folder", async () => {
  await using host = new TestHost();
  const other = join(host.poolDir, "microview-demonstration");
  const file = join(host.poolDir, "microview-demo-file");
  const link = join(host.poolDir, "microview-demo-link");
  mkdirSync(other);
  writeFileSync(join(other, "precious"), "");
  writeFileSync(file, "");
  symlinkSync(other, link);
  for (const path of [other, file]) age(path, 3600);
  expect(removeLeftovers(host.poolDir)).toEqual([]);
  expect([join(other, "precious"), file, link].map(existsSync)).toEqual([true, true, true]);
});

test("a link inside of a folder that is removed is not followed", async () => {
  await using host = new TestHost();
  const dead = demoFolder(host, "dead");
  const precious = join(host.folder, "precious");
  mkdirSync(precious);
  writeFileSync(join(precious, "file"), "");
  symlinkSync(precious, join(dead, "pools/link"));
  age(dead, 3600);
  expect(removeLeftovers(host.poolDir)).toEqual([dead]);
  expect(existsSync(join(precious, "file"))).toBe(true);
});

test("a directory that is not there holds no leftovers", () => {
  expect(removeLeftovers("/dev/shm/no/such/directory")).toEqual([]);
});
