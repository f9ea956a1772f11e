// Finds a process of this host by what a pool says of it, and reads who it is. Nothing is asked of the process itself.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { type ProcessIdentity, UNKNOWN_IDENTITY } from "../layout/index.ts";
import { parseCgroup } from "./cgroup.ts";

/** A file as the kernel knows it. */
export interface OpenFile {
  inode: number;
  device: number;
}

/** What the cgroup of a process tells. @returns undefined when it is in no container, no unit, or has gone */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const place = parseCgroup(read(`/proc/${pid}/cgroup`));
  return place && { ...UNKNOWN_IDENTITY, ...place };
}

/**
 * The process that a writer's record means: it has the pool open. A pid alone proves nothing, for it may be one of
 * another pid namespace, and it may be somebody else's by now.
 * @param pid in the pid namespace of the process
 * @param inside asked for {@link processesInside} when it is needed
 * @returns undefined as well without the right to see whose files are open
 */
export function findProcess(
  pid: number,
  file: OpenFile,
  inside: () => ReadonlyMap<number, readonly number[]>,
): number | undefined {
  if (holds(pid, file)) return pid;
  const others = (inside().get(pid) ?? []).filter((other) => holds(other, file));
  // Two containers may each have a process of that number in one pool: better none than the wrong one.
  return others.length === 1 ? others[0] : undefined;
}

/** Processes by the number that they have in their own pid namespace, where that is not the reader's. */
export function processesInside(): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const name of list("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const pids = parseNamespacePids(read(`/proc/${name}/status`));
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
  for (const fd of list(`/proc/${pid}/fd`)) {
    try {
      const { ino, dev } = statSync(`/proc/${pid}/fd/${fd}`);
      if (ino === file.inode && dev === file.device) return true;
    } catch {
      // Closed meanwhile.
    }
  }
  return false;
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
