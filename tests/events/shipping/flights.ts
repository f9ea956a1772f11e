// Services that are killed at full load, and agents that are killed while they ship what was recorded.

import { join } from "node:path";
import type { Random } from "../../chaos/random.ts";
import type { TestHost } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import { recordingService } from "../recording.ts";

/** A service that records without a rest until it is killed, and how many of its calls had returned then. */
export async function fly(
  host: TestHost,
  random: Random,
): Promise<{ pid: number; returned: number }> {
  const load = { burst: random.between(1, 3000), restMs: 0 };
  const lifeMs = random.between(0, 300);
  const { child, returned } = recordingService(host, load);
  await until("it records", () => returned() > 0);
  await Bun.sleep(lifeMs);
  child.kill("SIGKILL");
  await child.exited;
  return { pid: child.pid, returned: returned() };
}

/** An agent that is killed and started again until it is told to stop. */
export async function mortalAgents(
  host: TestHost,
  lake: { readonly url: string },
  random: Random,
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
    const step = random.pick(steps);
    const dieAfter = { step, times: random.between(1, 30) };
    const lifeMs = random.between(0, 2000);
    const agent = host.run("tests/events/shipping/fixtures/shipper.ts", {
      options,
      ...(isOver() ? {} : { dieAfter }),
    });
    if (isOver()) return deaths;
    // Some die where nobody has said that they may.
    await Promise.race([agent.exited, Bun.sleep(lifeMs)]);
    agent.kill("SIGKILL");
    await agent.exited;
  }
}
