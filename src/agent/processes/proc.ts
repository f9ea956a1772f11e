// What the kernel tells of a process: proc_pid_stat(5), proc_pid_status(5), proc_pid_fd(5). Nothing is asked of the process
// itself, and nothing it does is slowed down.

import { readdirSync, readFileSync } from "node:fs";

/** Unit of times in stat: USER_HZ, which is 100 on every architecture that Bun runs on. */
const TICKS_PER_S = 100;
const PAGE_BYTES = 4096;

export interface ProcessStat {
  /** Since the kernel started: with the pid, what tells a process from the next one of that number. */
  startTicks: number;
  userS: number;
  systemS: number;
  minorFaults: number;
  majorFaults: number;
  threads: number;
  residentBytes: number;
}

/** @returns undefined for what is not a line of stat */
export function parseStat(text: string): ProcessStat | undefined {
  // The second field is the program's name in brackets, and may hold brackets and spaces itself.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  // Fields are numbered from 1 in the manual; the third is the first here.
  const field = (number: number) => Number(fields[number - 3]);
  const stat = {
    startTicks: field(22),
    userS: field(14) / TICKS_PER_S,
    systemS: field(15) / TICKS_PER_S,
    minorFaults: field(10),
    majorFaults: field(12),
    threads: field(20),
    residentBytes: field(24) * PAGE_BYTES,
  };
  return Object.values(stat).every(Number.isFinite) ? stat : undefined;
}

/** Context switches of one thread. */
export interface Switches {
  voluntary: number;
  involuntary: number;
}

/** @returns undefined for what is not a thread's status */
export function parseSwitches(text: string): Switches | undefined {
  const voluntary = /^voluntary_ctxt_switches:\s*(\d+)$/m.exec(text)?.[1];
  const involuntary = /^nonvoluntary_ctxt_switches:\s*(\d+)$/m.exec(text)?.[1];
  if (voluntary === undefined || involuntary === undefined) return undefined;
  return { voluntary: Number(voluntary), involuntary: Number(involuntary) };
}

export function readStat(pid: number): ProcessStat | undefined {
  return parseStat(read(`/proc/${pid}/stat`));
}

export function readSwitches(pid: number, thread: string): Switches | undefined {
  return parseSwitches(read(`/proc/${pid}/task/${thread}/status`));
}

export function threadsOf(pid: number): string[] {
  return list(`/proc/${pid}/task`);
}

/** Open files of a process. @returns undefined when it is gone or the agent has no right to see them */
export function openFiles(pid: number): number | undefined {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return undefined;
  }
}

/** When the kernel started, unix time in seconds. */
export function bootTimeS(): number {
  return Number(/^btime (\d+)$/m.exec(read("/proc/stat"))?.[1] ?? Number.NaN);
}

export function startTimeS(stat: ProcessStat, bootS: number): number {
  return bootS + stat.startTicks / TICKS_PER_S;
}

/** Nothing, when the process has gone. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
