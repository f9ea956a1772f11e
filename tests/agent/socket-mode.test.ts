// From the moment that the agent's socket is there nobody connects to it who may not in the end.

import { expect, test } from "bun:test";
import { lstatSync } from "node:fs";
import { TestHost } from "../support/host.ts";

const WATCH = `
const { lstatSync } = require("node:fs");
const path = process.argv[1];
const seen = new Set();
let isOver = false;
process.stdin.on("end", () => { isOver = true; });
process.stdin.resume();
(async () => {
  while (!isOver) {
    for (let i = 0; i < 1000; i++) {
      const found = lstatSync(path, { throwIfNoEntry: false });
      if (found?.isSocket()) seen.add((found.mode & 0o777).toString(8) + " " + found.gid);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  console.log(JSON.stringify([...seen]));
})();
`;

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("only root can give a socket to any group: some tests are skipped");
const GROUP = 54_321;

test("the socket is this user's alone until it has its group, and the umask is as before", async () => {
  await using host = new TestHost();
  const watcher = host.own(
    Bun.spawn([process.execPath, "-e", WATCH, host.socketPath], { stdin: "pipe", stdout: "pipe" }),
  );
  const group = isRoot ? { gid: GROUP } : {};
  const gid = isRoot ? GROUP : process.getgid!();
  const umask = process.umask(0);
  try {
    for (let round = 0; round < 20; round++) {
      const agent = await host.agent({ ...group, scanIntervalMs: 10_000 });
      const found = lstatSync(host.socketPath);
      expect([found.mode & 0o777, found.gid]).toEqual([0o660, gid]);
      expect(process.umask(0)).toBe(0);
      await agent.stop();
    }
  } finally {
    process.umask(umask);
  }
  watcher.stdin.end();
  const seen = JSON.parse(await new Response(watcher.stdout).text()) as string[];
  expect(seen).toContain(`660 ${gid}`);
  const own = process.getgid!();
  const allowed = [`600 ${own}`, `600 ${gid}`, `660 ${gid}`];
  expect(seen.filter((each) => !allowed.includes(each))).toEqual([]);
});
