// What this host offers and lacks for microview, each with what to do. `microview doctor` prints it.

import { DEFAULT_PORT } from "../calling/index.ts";
import { forkCount } from "../ffi/index.ts";
import { defaultSocketPath } from "../layout/index.ts";
import {
  askHealth,
  checkLost,
  checkPort,
  checkSocket,
  type HealthAnswer,
  type HealthTarget,
  poolDirOf,
} from "./agent.ts";
import { checkClock, checkDeadlines, probeDeadlines } from "./clock.ts";
import type { Finding } from "./finding.ts";
import { type Host, hostAt } from "./host.ts";
import { checkBpf, checkBpfRights, checkCgroups, checkLockdown } from "./kernel-programs.ts";
import { checkLockedMemory, checkOpenFiles, checkSharedMemory } from "./memory.ts";
import { checkKernel, checkNative } from "./platform.ts";
import { checkPools } from "./pools.ts";
import { checkRdmaDevices, checkRdmaNodes, checkVerbs, rdmaDevices } from "./rdma.ts";

export type { HealthAnswer, HealthTarget } from "./agent.ts";
export type { Finding, Level, Need } from "./finding.ts";
export { type Host, hostAt } from "./host.ts";

export interface ExamineOptions {
  /** Version of this microview. */
  version: string;
  /** The agent's socket; default as services have it. */
  socketPath?: string;
  /** The agent's REST port on this host. */
  port?: number;
  /** Where pools are; default is where the agent says, else /dev/shm. */
  poolDir?: string;
  /** What follows is this host unless a test says otherwise. */
  host?: Host;
  ask?: (target: HealthTarget) => Promise<HealthAnswer>;
  /** Throws when the native part does not load. */
  loadNative?: () => void;
  /** How late deadlines are met, in ms. */
  probe?: () => number[];
}

const LOOPBACK = "127.0.0.1";

/** Runs every check; takes some tens of milliseconds, more when an agent does not answer. */
export async function examine(options: ExamineOptions): Promise<Finding[]> {
  const {
    version,
    socketPath = defaultSocketPath(process.env, process.getuid?.()),
    port = DEFAULT_PORT,
    host = hostAt(),
    ask = askHealth,
    loadNative = forkCount,
    probe = probeDeadlines,
  } = options;
  const native = checkNative(loadNative);
  const works = native.level === "ok";
  const [onSocket, onPort] = await Promise.all([
    ask({ socket: socketPath }),
    ask({ host: LOOPBACK, port }),
  ]);
  const poolDir = options.poolDir ?? poolDirOf(onSocket);
  return [
    checkKernel(host),
    native,
    checkSharedMemory(host, poolDir),
    checkOpenFiles(host),
    checkSocket(host, socketPath, onSocket, version),
    checkPort(`${LOOPBACK}:${port}`, onPort, version),
    ...(works ? checkPools(poolDir, socketPath) : []),
    ...checkLost(onSocket),
    checkClock(host),
    ...(works ? [checkDeadlines(host, probe())] : []),
    checkRdmaDevices(host),
    checkRdmaNodes(host),
    checkVerbs(host),
    checkLockedMemory(host, rdmaDevices(host).length > 0),
    checkBpf(host),
    checkBpfRights(host),
    checkLockdown(host),
    checkCgroups(host),
  ];
}
