// What tests of RDMA have in the machine: the built program on hosts of their own, the device rxe0, and the kernel's
// count of what is open on it.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AgentClient, type Credentials } from "../../../../src/collector/agent-client.ts";
import type { RdmaResponse } from "../../../../src/layout/index.ts";
import { type AgentProcess, ROOT, TestHost } from "../../../support/host.ts";

export const MICROVIEW = join(ROOT, "dist/microview");
export const DEVICE = "rxe0";

/** A host whose agent is the built program. Emulated processors look for the dead less often. */
export class MachineHost extends TestHost {
  constructor() {
    super([MICROVIEW]);
  }

  /** Starts an agent that serves RDMA, and waits for it. */
  verbsAgent(...flags: string[]): Promise<AgentProcess> {
    const own = flags.includes("--scan-interval") ? [] : ["--scan-interval", "100ms"];
    return this.agentProcess(...own, ...flags);
  }

  /** The agent's REST interface, over its socket. */
  get rest(): AgentClient {
    return new AgentClient({ socketPath: this.socketPath }, {});
  }

  async rdma(): Promise<RdmaResponse> {
    return (await this.rest.call("GET", "/v1/rdma")) as RdmaResponse;
  }

  /** What the agent counts of itself, summed over labels. */
  async metric(name: string): Promise<number> {
    const text = await (await this.rest.fetch("GET", "/metrics")).text();
    const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }
}

/** REST of an agent over TCP, as a collector of another host would have it. */
export function overTcp({ port }: AgentProcess, credentials: Credentials = {}): AgentClient {
  return new AgentClient({ host: "127.0.0.1", port }, credentials);
}

/** Memory that the kernel has pinned for a process's devices, in bytes. */
export function pinnedBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmPin:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

/** What the kernel has open on the device. */
export interface Resources {
  pd: number;
  cq: number;
  qp: number;
  mr: number;
  ctx: number;
}

export function resources(): Resources {
  const shown = Bun.spawnSync(["rdma", "-j", "res", "show"]).stdout.toString();
  const { pd, cq, qp, mr, ctx } = JSON.parse(shown)[0];
  return { pd, cq, qp, mr, ctx };
}

/** A file for --token-file: by name, each token with its words for what it is for. */
export function writeTokens(
  { folder }: TestHost,
  tokens: Readonly<Record<string, readonly [token: string, words: string]>>,
): string {
  const path = join(folder, "tokens");
  const lines = Object.entries(tokens).map(
    ([name, [token, words]]) => `${token} ${words} name=${name}\n`,
  );
  writeFileSync(path, lines.join(""), { mode: 0o600 });
  return path;
}
