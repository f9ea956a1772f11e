// How fast the machine is found to be: what tests wait at most is longer where processors are slow, emulated, or shared
// by many.

import { availableParallelism, loadavg } from "node:os";

const BLOCK = new Uint8Array(1 << 20).fill(7);
const ROUNDS = 60;
/** What the rounds take on the machine that the times of the tests were chosen on, in ms of its processor. */
const REFERENCE_MS = 20 * Number(process.env["MICROVIEW_TESTS_SLOWER"] ?? 1);
/** Nobody waits longer by more than this. */
const MAX_SLOWNESS = 30;

/** What was seen of the machine. */
export interface Seen {
  /** Of a fixed piece of work: by the clock, and of a processor. */
  wallMs: number;
  cpuMs: number;
  /** Runnable threads per processor, on average over the last minute. */
  crowd: number;
}

/** How many times slower than the machine of reference; 1 where it is as fast. */
export function slownessOf({ wallMs, cpuMs, crowd }: Seen): number {
  const slow = Math.max(1, cpuMs / REFERENCE_MS);
  const waiting = Math.max(1, crowd, wallMs / Math.max(cpuMs, 1));
  return Math.min(MAX_SLOWNESS, slow * waiting);
}

/** How slow it is right now; takes a few hundredths of a second. */
export function slowness(): number {
  const cpu = process.threadCpuUsage();
  const startMs = performance.now();
  for (let i = 0; i < ROUNDS; i++) Bun.hash.murmur32v3(BLOCK, i);
  const wallMs = performance.now() - startMs;
  const { user, system } = process.threadCpuUsage(cpu);
  const crowd = (loadavg()[0] ?? 0) / availableParallelism();
  return slownessOf({ wallMs, cpuMs: (user + system) / 1000, crowd });
}

let atStart: number | undefined;

/** A time to wait at most, as it was chosen for a machine that is fast and free, on this one as it was at the start. */
export function patience(ms: number): number {
  atStart ??= slowness();
  return ms * atStart;
}

/** As patience, for what is over: load that came after the start counts too. For assertions on how long something took. */
export function patienceNow(ms: number): number {
  return Math.max(patience(ms), ms * slowness());
}
