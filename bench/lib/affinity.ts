// Which processor a thread runs on. Where the scheduler puts two threads that talk decides more than what they say.

import { dlopen } from "bun:ffi";
import { readdirSync } from "node:fs";
import { cpus } from "node:os";

/** Bytes of a mask for 1024 processors, as cpu_set_t. */
const MASK_BYTES = 128;

const { symbols: libc } = dlopen("libc.so.6", {
  sched_setaffinity: { args: ["i32", "u64", "ptr"], returns: "i32" },
});

function allow(thread: number, processors: readonly number[]): void {
  const mask = new Uint8Array(MASK_BYTES);
  for (const processor of processors) mask[processor >> 3]! |= 1 << (processor & 7);
  if (libc.sched_setaffinity(thread, MASK_BYTES, mask) !== 0) {
    throw new Error(`thread ${thread} cannot be moved to processor ${processors.join(", ")}`);
  }
}

/** Keeps the calling thread on a processor. */
export function pinThisThread(processor: number): void {
  allow(0, [processor]);
}

/** Lets the calling thread run anywhere again. */
export function unpinThisThread(): void {
  allow(0, [...cpus().keys()]);
}

/** Keeps every thread of a process on a processor. */
export function pinProcess(pid: number, processor: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) allow(Number(thread), [processor]);
}
