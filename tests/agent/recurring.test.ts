// That an agent whose memory is full says so once, and not at each look.

import { describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SharedFile } from "../../src/ffi/index.ts";
import { poolPath } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { canMount, mountTmpfs } from "../support/permissions.ts";
import { PoolView } from "../support/pool-view.ts";
import { define, TestWriter } from "../support/pools.ts";
import { until } from "../support/wait.ts";

/** Takes all room of a file system, page by page. */
function fill(path: string): void {
  for (;;) {
    try {
      writeFileSync(path, new Uint8Array(4096), { flag: "a" });
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
      return;
    }
  }
}

describe("a memory that is full", () => {
  test.skipIf(!canMount)(
    "is one line of the log for hundreds of looks, and one when it has room",
    async () => {
      await using host = new TestHost();
      const tmpfs = mountTmpfs("size=3m")!;
      host.onEnd(() => tmpfs.unmount());
      const agent = await host.agent({ poolDir: tmpfs.path, scanIntervalMs: 3_600_000 });
      const child = host.run("tests/client/fixtures/counting.ts", { socket: host.socketPath });
      child.stdin.write("7\n");
      child.stdin.flush();
      await until("it has counted", () => agent.pools.get("shop").directory.seriesCount > 0);
      fill(join(tmpfs.path, "filler"));
      child.kill("SIGKILL");
      await child.exited;
      const before = host.log.length;
      for (let i = 0; i < 300; i++) agent.scan();
      const said = host.log.slice(before).filter(({ level }) => level !== "debug");
      expect(said).toEqual([
        expect.objectContaining({
          level: "warn",
          message: "a dead writer stays for now",
          reason: expect.stringContaining("no memory is left"),
        }),
      ]);
      rmSync(join(tmpfs.path, "filler"));
      agent.scan();
      const over = "dead writers of the service are folded again";
      expect(host.log.find(({ message }) => message === over)).toMatchObject({ times: 300 });
      expect(agent.pools.get("shop").writers()).toEqual([]);
    },
  );

  test.skipIf(!canMount)(
    "keeps the agent's own metrics out of sight for as long as it is, and loses nothing of them",
    async () => {
      await using host = new TestHost();
      const tmpfs = mountTmpfs("size=3m")!;
      host.onEnd(() => tmpfs.unmount());
      fill(join(tmpfs.path, "filler"));
      const agent = await host.agent({ poolDir: tmpfs.path, scanIntervalMs: 3_600_000 });
      for (let i = 0; i < 50; i++) agent.scan();
      const said = host.log.filter(({ level }) => level === "warn" || level === "error");
      expect(said.map(({ message }) => message)).toEqual([
        "some of the agent's own metrics have no place",
      ]);
      rmSync(join(tmpfs.path, "filler"));
      agent.scan();
      expect(scansIn(tmpfs.path)).toBe(51);
    },
  );
});

test("a service that can be folded says nothing about one of the same name in another application", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ limits: { pages: 2 }, scanIntervalMs: 3_600_000 });
  const [shop, bank] = [agent.pools.open("shop"), agent.pools.open("bank")];
  const dead = { service: "auth", pid: 1, threadId: 0 };
  const writer = new TestWriter(bank, dead);
  // The other page of the two; it stays.
  bank.attach(dead, { unlocked: true });
  writer.put(define.counter("requests_total"), [], 7);
  writer.die();
  for (let i = 0; i < 3; i++) {
    shop.attach(dead);
    agent.scan(Date.now() + 120_000);
    expect([shop.writers().length, bank.writers().length]).toEqual([0, 2]);
  }
  const said = host.log.filter(({ message }) => /dead writer/.test(String(message)));
  expect(said).toEqual([
    expect.objectContaining({
      message: "a dead writer stays for now",
      app: "bank",
      service: "auth",
    }),
  ]);
});

describe("the agent's own metrics", () => {
  test("that find no file to hold their lock by begin again, and nothing of them is counted twice", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ scanIntervalMs: 3_600_000 });
    for (let i = 0; i < 10; i++) agent.scan();
    const path = poolPath("microview", host.poolDir);
    rmSync(path);
    const open = SharedFile.open;
    SharedFile.open = (given, isWritable) => {
      const file = open(given, isWritable);
      if (given !== path) return file;
      file.close();
      throw new Error("too many open files");
    };
    try {
      agent.scan();
      agent.scan();
    } finally {
      SharedFile.open = open;
    }
    for (let i = 0; i < 3; i++) agent.scan();
    const reason = "too many open files";
    const messages = host.log.filter((line) => line["reason"] === reason);
    expect(messages.map(({ message }) => message)).toEqual([
      "some of the agent's own metrics have no place",
    ]);
    expect(scansIn(host.poolDir)).toBe(15);
    expect(agent.pools.get("microview").writers()).toHaveLength(1);
  });
});

/** How many scans the agent says that it has made, over all that have counted them. */
function scansIn(poolDir: string): number | undefined {
  return new PoolView(poolDir, "microview").value("agent", "microview_agent_scans_total");
}
