// The lock beside an agent's socket is the agent's: nobody else keeps one from starting.

import { expect, test } from "bun:test";
import { chmodSync, existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { InstanceLock, isServed } from "../../src/agent/instance-lock.ts";
import { SharedFile } from "../../src/ffi/index.ts";
import { AgentProcess, TestHost } from "../support/host.ts";
import { asNobody } from "../support/permissions.ts";

const LOCKER = join(import.meta.dir, "fixtures/lock-for-reading.ts");

test.skipIf(asNobody === undefined || process.getuid?.() !== 0)(
  "another user cannot lock what a killed agent has left, and the next one serves",
  async () => {
    await using host = new TestHost();
    chmodSync(host.folder, 0o755);
    const first = await host.agentProcess();
    await first.end("SIGKILL");
    const stranger = Bun.spawn(
      [...asNobody!, process.execPath, LOCKER, `${host.socketPath}.lock`],
      {
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    host.onEnd(() => stranger.kill("SIGKILL"));
    const { value } = await stranger.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("EACCES\n");
    const second = new AgentProcess(host, []);
    await second.serves();
    expect(await second.end("SIGTERM")).toBe(0);
  },
);

test("a lock that its agent removes while another one opens it is no lock", async () => {
  await using host = new TestHost();
  const first = InstanceLock.take(host.socketPath);
  const lock = SharedFile.prototype.lock;
  let tries = 0;
  SharedFile.prototype.lock = function (this: SharedFile, ...range: [number, number]) {
    if (tries++ === 0) first.release();
    return lock.apply(this, range);
  };
  try {
    const second = InstanceLock.take(host.socketPath);
    expect(tries).toBe(2);
    expect(isServed(host.socketPath)).toBe(true);
    expect(statSync(`${host.socketPath}.lock`).mode & 0o777).toBe(0o600);
    expect(() => InstanceLock.take(host.socketPath)).toThrow(`with pid ${process.pid} serves`);
    second.release();
  } finally {
    SharedFile.prototype.lock = lock;
  }
  expect(existsSync(`${host.socketPath}.lock`)).toBe(false);
  rmSync(host.socketPath, { force: true });
});
