// Finds a process of this host by what a pool says of it, and reads who it is. Nothing is asked of the process itself.

import { statSync } from "node:fs";
import { type ProcessIdentity, UNKNOWN_IDENTITY } from "../layout/index.ts";
import { parseCgroup } from "./cgroup.ts";
import { listProc, readProc } from "./procfs.ts";

/** A file as the kernel knows it. */
export interface OpenFile {
  inode: number;
  device: number;
}

/** What the cgroup of a process tells. @returns undefined when it is in no container, no unit, or has gone */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const place = parseCgroup(readProc(`/proc/${pid}/cgroup`));
  return place && { ...UNKNOWN_IDENTITY, ...place };
}

/** The bytes of a pool that a writer's process holds locked while it lives. */
export interface WriterLock {
  offset: number;
  bytes: number;
}

/** One look at the processes of this host: what was read of them is not read again for the next writer. */
export class ProcessLook {
  #inside: Map<number, number[]> | undefined;
  readonly #openings = new Map<string, Openings>();

  /** Processes that have such a number in a pid namespace of their own. */
  inside(pid: number): readonly number[] {
    this.#inside ??= processesInside();
    return this.#inside.get(pid) ?? [];
  }

  openings(pid: number, file: OpenFile): Openings {
    const key = `${pid} ${file.device} ${file.inode}`;
    let openings = this.#openings.get(key);
    if (openings === undefined) {
      openings = openingsOf(pid, file);
      this.#openings.set(key, openings);
    }
    return openings;
  }
}

/**
 * The process that a writer's record means: it holds the writer's lock. A pid alone proves nothing, for it may be one of
 * another pid namespace, where most containers have a process 1, and it may be somebody else's by now.
 * @param pid in the pid namespace of the process
 * @returns undefined as well without the right to see whose files are open
 */
export function findProcess(
  pid: number,
  file: OpenFile,
  lock: WriterLock,
  look: Pick<ProcessLook, "inside" | "openings">,
): number | undefined {
  const own = look.openings(pid, file);
  if (own.open && covers(own, lock)) return pid;
  const candidates = [pid, ...look.inside(pid)]
    .map((each) => ({ pid: each, openings: look.openings(each, file) }))
    .filter(({ openings }) => openings.open);
  const holder = candidates.find(({ openings }) => covers(openings, lock));
  if (holder !== undefined) return holder.pid;
  // One that attaches just now has no lock yet, and not every kernel tells of locks. Better none than the wrong one.
  const told = candidates.some(({ openings }) => openings.locks.length > 0);
  return candidates.length === 1 && !told ? candidates[0]!.pid : undefined;
}

/** Processes by the number that they have in their own pid namespace, where that is not the reader's. */
function processesInside(): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const name of listProc("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const pids = parseNamespacePids(readProc(`/proc/${name}/status`));
    const inner = pids.at(-1);
    if (pids.length < 2 || inner === undefined) continue;
    const others = found.get(inner);
    if (others === undefined) found.set(inner, [Number(name)]);
    else others.push(Number(name));
  }
  return found;
}

/** The numbers that a process has, from the reader's pid namespace inwards. */
export function parseNamespacePids(text: string): number[] {
  const line = /^NSpid:\s*([\d\s]+?)$/m.exec(text)?.[1];
  return line === undefined ? [] : line.split(/\s+/).map(Number);
}

/** Whether a process has a file open. False as well without the right to see it. */
export function holds(pid: number, file: OpenFile): boolean {
  return openingsOf(pid, file).open;
}

/** How a process has a file open: bytes from first to last that it holds locked. */
interface Openings {
  open: boolean;
  locks: { first: number; last: number }[];
}

function openingsOf(pid: number, file: OpenFile): Openings {
  const openings: Openings = { open: false, locks: [] };
  for (const fd of listProc(`/proc/${pid}/fd`)) {
    try {
      const { ino, dev } = statSync(`/proc/${pid}/fd/${fd}`);
      if (ino !== file.inode || dev !== file.device) continue;
    } catch {
      // Closed meanwhile.
      continue;
    }
    openings.open = true;
    openings.locks.push(...parseLocks(readProc(`/proc/${pid}/fdinfo/${fd}`)));
  }
  return openings;
}

/** Locks of an open file description (proc_pid_fdinfo(5)). Neighbours are one, so a lock may be within another. */
export function parseLocks(text: string): { first: number; last: number }[] {
  const lines = text.matchAll(/^lock:\s+\d+:\s+OFDLCK\s.*\s(\d+) (\d+|EOF)$/gm);
  return [...lines].map(([, first, last]) => ({
    first: Number(first),
    last: last === "EOF" ? Number.POSITIVE_INFINITY : Number(last),
  }));
}

function covers({ locks }: Openings, { offset, bytes }: WriterLock): boolean {
  return locks.some(({ first, last }) => first <= offset && last >= offset + bytes - 1);
}
