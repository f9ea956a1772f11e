// Reads files that a person names: tokens, certificates, headers. Programs read them again while they run, in the thread
// that does all else, so that no file may keep its reader waiting.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { SettingError } from "./setting-error.ts";

/** What the system says, without the path, which has been said. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of its path is no directory",
  EISDIR: "it is a directory",
  EACCES: "this user may not read it",
  // A socket.
  ENXIO: "it is no plain file",
};

/** All that a person names is far shorter: the authorities of all the world are a quarter of it. */
const BYTES_MAX = 1 << 20;

/**
 * The text of a plain file, as it is. Does not wait for the other end of a FIFO.
 * @throws Error naming the file, and never what is in it
 */
export function readPlainFile(path: string): string {
  try {
    return readNow(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === undefined ? message : (REASONS[code] ?? code);
    throw new Error(`cannot read ${path}: ${reason}`);
  }
}

/**
 * The text of a file.
 * @param label how messages name it, e.g. `--ca`
 * @throws SettingError when it cannot be read or is empty
 */
export function readTextFile(path: string, label: string): string {
  let text: string;
  try {
    text = readPlainFile(path);
  } catch (error) {
    throw new SettingError(`${label}: ${(error as Error).message}`);
  }
  if (text.trim() === "") throw new SettingError(`${label}: ${path} is empty`);
  // What some editors put first is no part of it.
  return text.replace(/^\uFEFF/, "");
}

function readNow(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw new Error("it is a directory");
    if (!stat.isFile()) throw new Error("it is no plain file");
    // Not what its size says: it may grow meanwhile, and some file systems give none.
    const bytes = Buffer.allocUnsafe(Math.min(stat.size, BYTES_MAX) + 1);
    const parts: Buffer[] = [];
    for (let length = 0; ; ) {
      const read = readSync(fd, bytes);
      if (read === 0) return Buffer.concat(parts).toString("utf8");
      length += read;
      if (length > BYTES_MAX) throw new Error("it is longer than 1 MiB");
      parts.push(Buffer.from(bytes.subarray(0, read)));
    }
  } finally {
    closeSync(fd);
  }
}
