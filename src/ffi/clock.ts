// Clocks and deadlines.

import { shim } from "./shim.ts";

/** Nanoseconds of the monotonic clock (CLOCK_MONOTONIC), the one that deadlines use. */
export function monotonicNs(): number {
  return shim().mv_monotonic_ns();
}

/** Unix time in milliseconds, with a fraction, to a quarter of a microsecond. */
export function unixMs(): number {
  return shim().mv_unix_ms();
}

/** The function that gives the processor's counter, since the shim was loaded: itself, so that a call is one call. */
export function ticker(): () => number {
  return shim().mv_ticks;
}

/** How many ticks a millisecond has; takes one. */
export function measureTicksPerMs(): number {
  return shim().mv_ticks_per_ms();
}

/** Lets the kernel wake the calling thread no later than this after its deadlines (default 50 µs). */
export function setTimerSlackNs(ns: number): void {
  shim().mv_timer_slack_ns(ns);
}

/** Blocks the calling thread until a deadline of the monotonic clock. */
export function sleepUntilNs(deadlineNs: number): void {
  shim().mv_sleep_until_ns(deadlineNs);
}
