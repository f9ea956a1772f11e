// The folders that pools lie in below --pool-dir, so that those who may open a pool can get to it.

import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  mkdirSync,
  openSync,
} from "node:fs";
import { dirname } from "node:path";

/** Who may open pools of a mode may enter their folder: 0660 gives 0750. */
export function folderMode(poolMode: number): number {
  const mayRead = (poolMode & 0o444) | 0o400;
  return mayRead | (mayRead >> 2) | 0o200;
}

/**
 * Makes a folder with all above it. Of one that is there already and that is this user's, only the group is set.
 * @throws Error of the system when it cannot be made
 */
export function makeFolder(path: string, mode: number, gid: number | undefined): void {
  if (make(path)) {
    withFolder(path, (fd) => {
      if (gid !== undefined) fchownSync(fd, -1, gid);
      // The umask does not decide who may enter.
      fchmodSync(fd, mode);
    });
  } else if (gid !== undefined) {
    try {
      withFolder(path, (fd) => setGroup(fd, gid));
    } catch {
      // The user who made it decides who may enter.
    }
  }
}

function setGroup(fd: number, gid: number): void {
  const known = fstatSync(fd);
  if (known.uid === process.geteuid?.() && known.gid !== gid && isPrivate(known.mode)) {
    fchownSync(fd, -1, gid);
  }
}

function withFolder(path: string, run: (fd: number) => void): void {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  const fd = openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    run(fd);
  } finally {
    closeSync(fd);
  }
}

/** Made by an agent, and not by somebody who has given it a group on purpose. */
function isPrivate(mode: number): boolean {
  return (mode & 0o7777) === 0o750;
}

/** @returns false when it was there */
function make(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (code !== "ENOENT") throw error;
  }
  mkdirSync(dirname(path), { recursive: true });
  mkdirSync(path, { mode: 0o700 });
  return true;
}
