// What the kernel tells of a process: proc_pid_stat(5), proc_pid_status(5), proc_pid_fd(5). Nothing is asked of the process
// itself, and nothing it does is slowed down.

import { readdirSync } from "node:fs";
import { listProc, readProc } from "../../identity/index.ts";

/** Unit of times in stat: USER_HZ, which is 100 on every architecture that Bun runs on. */
const TICKS_PER_S = 100;
const PAGE_BYTES = 4096;

interface ProcessStat {
  /** Since the kernel started: with the pid, what tells a process from the next one of that number. */
  startTicks: number;
  userS: number;
  systemS: number;
  minorFaults: number;
  majorFaults: number;
  threads: number;
  virtualBytes: number;
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
    virtualBytes: field(23),
    residentBytes: field(24) * PAGE_BYTES,
  };
  return Object.values(stat).every(Number.isFinite) ? stat : undefined;
}

/** What a thread calls itself. The kernel keeps 15 characters; Bun and JavaScriptCore have the last ones kept. */
export function threadName(stat: string): string {
  return stat.slice(stat.indexOf("(") + 1, Math.max(0, stat.lastIndexOf(")")));
}

/** Resident memory that is no file's and shared with nobody by intent: heaps and stacks. From proc_pid_statm(5). */
export function parseAnonymousBytes(text: string): number | undefined {
  const [, resident, shared] = text.split(" ").map(Number);
  const bytes = (resident! - shared!) * PAGE_BYTES;
  return Number.isFinite(bytes) ? Math.max(0, bytes) : undefined;
}

/** How many files may be open, from proc_pid_limits(5); without a limit Infinity. */
export function parseOpenFilesMax(text: string): number | undefined {
  const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(text) ?? [];
  if (soft === undefined) return undefined;
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}

/** How long a thread could have run and had no processor, from proc_pid_schedstat(5). */
export function parseWaitS(text: string): number | undefined {
  const waited = /^\d+ (\d+) \d+/.exec(text)?.[1];
  return waited === undefined ? undefined : Number(waited) / 1e9;
}

/** What memory a process has to itself, from proc_pid_smaps(5), "smaps_rollup". */
export interface MemoryShares {
  /** Each shared page counted by its part: sums over processes are what there is. */
  proportionalBytes: number;
  privateBytes: number;
  swapBytes: number;
}

/** @returns undefined for what is no rollup */
export function parseRollup(text: string): MemoryShares | undefined {
  const kibibytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? Number.NaN);
  const shares = {
    proportionalBytes: kibibytes("Pss") * 1024,
    privateBytes: (kibibytes("Private_Clean") + kibibytes("Private_Dirty")) * 1024,
    swapBytes: kibibytes("SwapPss") * 1024,
  };
  return Object.values(shares).every(Number.isFinite) ? shares : undefined;
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
  return parseStat(readProc(`/proc/${pid}/stat`));
}

export function readSwitches(pid: number, thread: string): Switches | undefined {
  return parseSwitches(readProc(`/proc/${pid}/task/${thread}/status`));
}

export function readThread(
  pid: number,
  thread: string,
): { name: string; cpuS: number } | undefined {
  const text = readProc(`/proc/${pid}/task/${thread}/stat`);
  const stat = parseStat(text);
  return stat && { name: threadName(text), cpuS: stat.userS + stat.systemS };
}

export function readAnonymousBytes(pid: number): number | undefined {
  return parseAnonymousBytes(readProc(`/proc/${pid}/statm`));
}

export function readOpenFilesMax(pid: number): number | undefined {
  return parseOpenFilesMax(readProc(`/proc/${pid}/limits`));
}

/** Of the main thread. */
export function readWaitS(pid: number): number | undefined {
  return parseWaitS(readProc(`/proc/${pid}/task/${pid}/schedstat`));
}

/** Takes milliseconds, in which the process cannot map memory. @returns undefined without the right to see it */
export function readRollup(pid: number): MemoryShares | undefined {
  return parseRollup(readProc(`/proc/${pid}/smaps_rollup`));
}

export function threadsOf(pid: number): string[] {
  return listProc(`/proc/${pid}/task`);
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
  return Number(/^btime (\d+)$/m.exec(readProc("/proc/stat"))?.[1] ?? Number.NaN);
}

export function startTimeS(stat: ProcessStat, bootS: number): number {
  return bootS + stat.startTicks / TICKS_PER_S;
}
