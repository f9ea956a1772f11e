// Starts agents for benchmarks, each with a socket and a pool directory of its own.

import { join } from "node:path";
import type { Limits, StrategyName } from "../../src/agent/index.ts";
import type { Scratch } from "./scratch.ts";

export interface AgentProcessOptions {
  socketPath: string;
  poolDir: string;
  strategy: StrategyName;
  limits: Partial<Limits>;
  /** Lets collectors read by RDMA, where this host has a device. */
  rdma: boolean;
  /** Where it ships events to, and what it keeps them in until then. */
  lake?: string;
  spool?: string;
}

export interface AgentProcess {
  pid: number;
  socketPath: string;
  poolDir: string;
  /** Of the REST interface. */
  port: number;
  /** Of the binary read protocol. */
  dataPort: number;
  stop(): Promise<void>;
}

export async function startAgent(
  scratch: Scratch,
  options: Partial<
    Pick<AgentProcessOptions, "strategy" | "limits" | "poolDir" | "rdma" | "lake" | "spool">
  > = {},
): Promise<AgentProcess> {
  const { strategy = "page", limits = {}, rdma = false } = options;
  const { poolDir = scratch.folder("memory"), lake, spool } = options;
  const socketPath = join(scratch.folder("disk"), "agent.sock");
  const full: AgentProcessOptions = {
    socketPath,
    poolDir,
    strategy,
    limits,
    rdma,
    ...(lake === undefined || spool === undefined ? {} : { lake, spool }),
  };
  const { child, offer } = await scratch.start<{ port: number; dataPort: number }>(
    "agent-process.ts",
    full,
  );
  return { pid: child.pid, socketPath, poolDir, ...offer, stop: () => scratch.stop(child) };
}
