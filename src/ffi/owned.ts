// Opens files in places where others may put some, such as /dev/shm: only plain files of the users who may have made
// them, without waiting for anybody, and before anything of their contents is looked at.

import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  type Stats,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import type { SystemError } from "./errno.ts";
import { SharedFile } from "./memory.ts";

/** A file has a pool's or a socket's name and is not ours: it is left alone. */
export class ForeignFileError extends Error {
  override readonly name = "ForeignFileError";
  readonly code = "EFOREIGN";

  constructor(
    readonly path: string,
    readonly reason: string,
  ) {
    super(`${path} is left alone: ${reason}`);
  }
}

/** Whose files may be used. */
export interface Owners {
  /** Users, the expected one first. */
  readonly uids: readonly number[];
  /** Files of every user may be used, whatever `uids` says: for root, who treats them as what anybody may have written. */
  readonly isAnyUser?: boolean;
  /** Folder of the pools, if somebody has named one: where only its owner and group may put files, all of them are used. */
  readonly folder?: string;
  /** Permissions that no file may give, e.g. 0o002. */
  readonly refusedMode?: number;
}

/** Writable by others than owner and group. */
export const OTHERS_WRITE = 0o002;

/** This process's user and root; for readers the agent's user before them, where that is known. */
export function ownUids(agent?: number): number[] {
  const own = [process.geteuid?.() ?? 0, 0];
  return [...new Set(agent === undefined ? own : [agent, ...own])];
}

/** The bit of CAP_DAC_OVERRIDE: capabilities(7). */
const DAC_OVERRIDE = 1n << 1n;

/** Whether this process may open everybody's files, as root may, and whoever has that right of root's. */
export function opensAll(): boolean {
  try {
    const [, digits] =
      /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return digits !== undefined && (BigInt(`0x${digits}`) & DAC_OVERRIDE) !== 0n;
  } catch {
    return process.geteuid?.() === 0;
  }
}

/**
 * The user whose agent serves a socket, as this process sees him: the socket's owner, or its folder's when there is no
 * socket any more.
 */
export function ownerOfSocket(path: string): number | undefined {
  const found = lstatOf(path) ?? lstatOf(dirname(path));
  return found?.uid;
}

/**
 * Opens a plain file of somebody who may have made it.
 * @throws ForeignFileError for what others have put there, SystemError when it cannot be opened
 */
export function openOwned(path: string, writable: boolean, owners: Owners): SharedFile {
  let file: SharedFile;
  try {
    file = SharedFile.open(path, writable);
  } catch (error) {
    // A file that is foreign is reported as foreign, whatever open() says.
    const found = lstatOf(path);
    const reason =
      found &&
      foreignness(path, { isFile: found.isFile(), uid: found.uid, mode: found.mode }, owners);
    if (reason === undefined || (error as SystemError).code === "ENOENT") throw error;
    throw new ForeignFileError(path, reason);
  }
  try {
    const reason = foreignness(path, file.stat(), owners);
    if (reason !== undefined) throw new ForeignFileError(path, reason);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Not among Node's constants: a hold on a name's file that opens nothing. */
const O_PATH = 0o10000000;

/**
 * Gives a socket that this process has made to a group, and then the permissions that it is to have. It is held
 * meanwhile: somebody who puts a link in its place changes nothing of what the link leads to.
 * @returns its inode
 * @throws ForeignFileError when something else has the name by now
 */
export function shareSocket(path: string, mode: number, gid: number | undefined): number {
  const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
  try {
    const found = fstatSync(fd);
    if (!found.isSocket() || found.uid !== process.geteuid?.()) {
      throw new ForeignFileError(path, "it is not the socket that was made there");
    }
    if (gid !== undefined) chownSync(`/proc/self/fd/${fd}`, -1, gid);
    chmodSync(`/proc/self/fd/${fd}`, mode);
    return found.ino;
  } finally {
    closeSync(fd);
  }
}

interface Found {
  isFile: boolean;
  uid: number;
  mode: number;
}

function foreignness(
  path: string,
  { isFile, uid, mode }: Found,
  { uids, isAnyUser = false, folder, refusedMode = 0 }: Owners,
): string | undefined {
  if (!isFile) return `it is ${kindOf(lstatOf(path))}, and no plain file`;
  if (!isAnyUser && !uids.includes(uid) && !(folder !== undefined && isClosed(folder, path))) {
    return `it belongs to user ${uid}, not to user ${uids.join(" or ")}`;
  }
  if ((mode & refusedMode) !== 0) {
    return `others may write to it (mode ${(mode & 0o777).toString(8).padStart(4, "0")})`;
  }
  return undefined;
}

/** Whether others can have put nothing into the folder, nor into the one below it that the file is in. */
function isClosed(folder: string, path: string): boolean {
  const below = lstatOf(dirname(path));
  let above: Stats | undefined;
  try {
    // Named by who asked for it: it may be a link.
    above = statSync(folder, { throwIfNoEntry: false });
  } catch {
    return false;
  }
  return [below, above].every(
    (each) => each?.isDirectory() === true && (each.mode & OTHERS_WRITE) === 0,
  );
}

function kindOf(found: Stats | undefined): string {
  if (found?.isSymbolicLink()) return "a symbolic link";
  if (found?.isDirectory()) return "a folder";
  if (found?.isFIFO()) return "a FIFO";
  if (found?.isSocket()) return "a socket";
  return "a device";
}

function lstatOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
