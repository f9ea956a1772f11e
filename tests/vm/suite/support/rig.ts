// What tests of RDMA have in the machine: the built program on hosts of their own, the device rxe0, and the kernel's
// count of what is open on it.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AgentClient, type Credentials } from "../../../../src/collector/agent-client.ts";
import { VERBS_DEFAULTS, type VerbsOptions } from "../../../../src/collector/index.ts";
import { chooseRdmaPort, listRdmaPorts, type RdmaChoice } from "../../../../src/ffi/index.ts";
import type { RdmaResponse } from "../../../../src/rest/index.ts";
import { call } from "../../../support/calls.ts";
import { AgentProcess, ROOT, TestHost } from "../../../support/host.ts";

export const MICROVIEW = join(ROOT, "dist/microview");
export const DEVICE = "rxe0";
const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/** A host whose agent is the built program. Emulated processors look for the dead less often. */
export class MachineHost extends TestHost {
  constructor() {
    super([MICROVIEW]);
  }

  /** Starts an agent and waits for it. */
  async start(flags: readonly string[] = [], wrapper: readonly string[] = []) {
    const own = flags.includes("--scan-interval") ? [] : ["--scan-interval", "100ms"];
    const agent = new AgentProcess(this, [...own, ...flags], wrapper);
    await agent.serves();
    return agent;
  }

  /** The agent's REST interface, over its socket. */
  get rest(): AgentClient {
    return new AgentClient({ socketPath: this.socketPath }, {});
  }

  async rdma(): Promise<RdmaResponse> {
    return await call(this.rest, "GET /v1/rdma", {});
  }

  /** What the agent counts of itself, summed over labels. */
  async metric(name: string): Promise<number> {
    const text = await (await this.rest.fetch("GET", "/metrics")).text();
    const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }
}

/**
 * For collectors: waits a second for an acknowledgement. A machine whose host is busy stands still for longer than what
 * is usual; Soft-RoCE then sends again, and now and then never completes what it has sent again.
 */
export const PATIENT: VerbsOptions = { ...VERBS_DEFAULTS, timeout: 18 };
export const PATIENT_FLAGS = ["--transport", "verbs", "--rdma-timeout", "1s"];

let port: RdmaChoice | undefined;

/** The device's port and address. Soft-RoCE has a thousand places for addresses, which take a while to read. */
export function devicePort(): RdmaChoice {
  port ??= chooseRdmaPort(listRdmaPorts(), undefined);
  return port;
}

/** REST of an agent over TCP, as a collector of another host would have it. */
export function overTcp({ port }: AgentProcess, credentials: Credentials = {}): AgentClient {
  return new AgentClient({ host: "127.0.0.1", port }, credentials);
}

/** Memory that the kernel has pinned for a process's devices, in bytes. */
export function pinnedOf(pid: number): number {
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

export async function resources(): Promise<Resources> {
  const { pd, cq, qp, mr, ctx } = JSON.parse(await run("rdma", "-j", "res", "show"))[0];
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

/** Takes the RDMA device away from everybody, or gives it back. Waits for those who have it open. */
export async function setDevice(present: boolean): Promise<void> {
  const how = present ? ["add", DEVICE, "type", "rxe", "netdev", "lo"] : ["delete", DEVICE];
  await run("rdma", "link", ...how);
}

/**
 * Lets collectors take agents for those of another host, whose pools cannot be mapped: "auto" would map those of its own.
 * @returns what an agent is started by to have the machine's own identity
 */
export async function pretendToBeElsewhere(host: TestHost): Promise<readonly string[]> {
  const path = join(host.folder, "boot_id");
  writeFileSync(path, `${crypto.randomUUID()}\n`);
  await run("mount", "--bind", path, BOOT_ID);
  host.onEnd(() => run("umount", BOOT_ID));
  return ["unshare", "-m", "sh", "-c", `umount ${BOOT_ID}; exec "$@"`, "sh"];
}

/** @throws Error with what the command says when it fails */
export async function run(...command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [said, complaint] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}: ${complaint}`);
  return said;
}

/** How long a process's threads have run, in nanoseconds. */
export function cpuNs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ran = (thread: string) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return threads.reduce((sum, thread) => sum + ran(thread), 0);
}
