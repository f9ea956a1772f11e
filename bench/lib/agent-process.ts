// An agent in a process of its own, for benchmarks: serves on free ports until its parent closes its stdin.

import { Agent, DEFAULT_LIMITS } from "../../src/agent/index.ts";
import { parseDurationMs } from "../../src/command-line/duration.ts";
import command from "../../src/commands/agent.ts";
import { createLog } from "../../src/guard/index.ts";
import type { AgentProcessOptions } from "./agent.ts";
import { childOptions, offer, serveParent } from "./child.ts";

const { socketPath, poolDir, strategy, limits, rdma, lake, spool } =
  childOptions<AgentProcessOptions>();
/** As `microview agent` has it. */
const scanInterval = command.details.flags["scanInterval"]!.shownDefault!;
const agent = await Agent.start({
  socketPath,
  poolDir,
  strategy,
  host: "127.0.0.1",
  port: 0,
  dataPort: 0,
  poolMode: 0o600,
  insecure: false,
  scanIntervalMs: parseDurationMs(scanInterval, "the default"),
  ...(rdma ? { rdma: { port: "auto", mtu: 4096, queuePairs: 1024 } } : {}),
  ...(lake === undefined || spool === undefined ? {} : { shipping: shippingTo(lake, spool) }),
  version: "bench",
  limits: { ...DEFAULT_LIMITS, ...limits },
  log: createLog("warn", false),
});
offer({ port: agent.port, dataPort: agent.dataPort });
await serveParent();
await agent.stop();
process.exit(0);

function shippingTo(lake: string, spool: string) {
  return {
    lake,
    spool,
    spoolBytes: 1 << 30,
    spoolAgeMs: 86_400_000,
    host: "bench",
    isForAll: false,
  };
}
