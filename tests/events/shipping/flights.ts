// Services that are killed at full load, and agents that are killed while they ship what was recorded.

import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SharedFile } from "../../../src/ffi/index.ts";
import type { TestHost } from "../../support/host.ts";
import { until } from "../../support/wait.ts";

/** A service that records without a rest until it is killed, and how many of its calls had returned then. */
export async function fly(host: TestHost): Promise<{ pid: number; returned: number }> {
  const countPath = join(host.folder, `count-${crypto.randomUUID()}`);
  writeFileSync(countPath, new Uint8Array(4096));
  const told = {
    poolDir: host.poolDir,
    countPath,
    burst: 1 + Math.floor(Math.random() * 3000),
    restMs: 0,
  };
  const child = host.run("tests/events/fixtures/service.ts", told);
  const mapping = SharedFile.open(countPath, false).map(0, 4096, false);
  try {
    const returned = () => new Int32Array(mapping.bytes(0, 4).slice().buffer)[0]!;
    await until("it records", () => returned() > 0);
    await Bun.sleep(Math.random() * 300);
    child.kill("SIGKILL");
    await child.exited;
    return { pid: child.pid, returned: returned() };
  } finally {
    mapping.unmap();
  }
}

/** An agent that is killed and started again until it is told to stop. */
export async function mortalAgents(
  host: TestHost,
  lake: { readonly url: string },
  isOver: () => boolean,
): Promise<number> {
  const options = {
    lake: lake.url,
    spool: join(host.folder, "spool"),
    spoolBytes: 1 << 30,
    spoolAgeMs: 3_600_000,
    poolDir: host.poolDir,
    host: "here",
    isForAll: false,
    backoffMs: { first: 5, last: 50 },
  };
  const steps = ["pending", "spooled", "total", "position", "final", "ended", "removed"];
  for (let deaths = 0; ; deaths++) {
    const step = steps[Math.floor(Math.random() * steps.length)]!;
    const dieAfter = { step, times: 1 + Math.floor(Math.random() * 30) };
    const agent = host.run("tests/events/shipping/fixtures/shipper.ts", {
      options,
      ...(isOver() ? {} : { dieAfter }),
    });
    if (isOver()) return deaths;
    // Some die where nobody has said that they may.
    await Promise.race([agent.exited, Bun.sleep(Math.random() * 2000)]);
    agent.kill("SIGKILL");
    await agent.exited;
  }
}

export function ringsOf(host: TestHost): string[] {
  const folder = join(host.poolDir, "shop");
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith("events.")) : [];
}
