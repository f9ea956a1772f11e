// Takes rights away from this process, for good. Called by processes that run what others have written, as queries of
// the lake are; nothing of it can be undone.

import { check } from "./errno.ts";
import { shim } from "./shim.ts";

/** Paths or arguments, each with a zero at its end. */
function zeroEnded(texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\0`).join(""));
}

/** The version of Landlock in this kernel, 0 where there is none. */
export function landlockVersion(): number {
  return shim().mv_landlock_version();
}

/**
 * The process ends with its parent, gains no rights by what it executes, and dumps no memory. Where the kernel has
 * Landlock, the calling thread and what it starts or executes from here on read nothing but `readable` and what is
 * beneath, write no file, connect nowhere, and signal no other process.
 * @param readable absolute paths; those that are not there are left out
 * @returns the version of Landlock, 0 where there is none
 * @throws SystemError when the kernel refuses
 */
export function confine(readable: readonly string[]): number {
  const paths = zeroEnded(readable);
  return check(shim().mv_confine(paths, paths.length), "cannot confine this process");
}

/**
 * Executes a program in the place of this one, without an environment.
 * @param descriptors how many of this process's it has, from 0 on, even those that Bun would close
 * @throws SystemError when that fails
 */
export function executeInPlace(path: string, args: readonly string[], descriptors: number): never {
  const list = zeroEnded([path, ...args]);
  const status = shim().mv_execute(
    ...([Buffer.from(`${path}\0`) as never, list, list.length, descriptors] as const),
  );
  check(status, `cannot execute ${path}`);
  throw new Error("execve returned");
}

/** From here on this process may have so much more private memory than it has now, and writes no file. */
export function limitGrowth(bytes: number): void {
  check(shim().mv_limit_growth(BigInt(bytes)), "cannot limit the memory of this process");
}

/** A pipe inside this process. The caller closes both ends. */
export function openPipe(): { read: number; write: number } {
  const ends = new Int32Array(2);
  check(shim().mv_pipe(ends), "cannot make a pipe");
  return { read: ends[0]!, write: ends[1]! };
}
