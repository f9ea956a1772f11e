// The system's errors by name, as the shim returns them: negative numbers.

import { constants } from "node:os";

const NAMES = new Map(
  Object.entries(constants.errno).map(([name, code]) => [code as number, name]),
);
// Node has no name for it.
NAMES.set(80, "ELIBBAD");

const SENTENCES: Readonly<Record<string, string>> = {
  ENOSPC: "no space is left (a tmpfs such as /dev/shm has a size of its own: see `df -h /dev/shm`)",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ENOENT: "no such file",
  ENOMEM: "not enough memory",
  EMFILE: "too many open files (see `ulimit -n`)",
  EADDRINUSE: "the address is already in use",
  EADDRNOTAVAIL: "the address is not one of this host",
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection was reset",
  EHOSTUNREACH: "the host is unknown or cannot be reached",
  ELOOP: "it is a symbolic link, which is not followed here",
  ELIBBAD: "the library is damaged, or lacks a function",
  ENXIO: "it is no plain file",
  EAGAIN: "it is held by another",
};

/** An error of the system: `code` as in errno.h, `errno` positive. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  readonly code: string;

  constructor(
    what: string,
    readonly errno: number,
  ) {
    const code = NAMES.get(errno) ?? `errno ${errno}`;
    super(`${what}: ${SENTENCES[code] ?? code}`);
    this.code = code;
  }
}

/** Passes a shim's answer on, or throws what it says. */
export function check(value: number, what: string): number {
  if (value < 0) throw new SystemError(what, -value);
  return value;
}
