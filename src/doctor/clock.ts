// Whether deadlines of a millisecond can be kept here.

import { monotonicNs, sleepUntilNs } from "../ffi/index.ts";
import { Check, type Finding } from "./finding.ts";
import type { Host } from "./host.ts";

/** Clock sources that are read without a system call. */
const FAST_SOURCES = new Set([
  "tsc",
  "kvm-clock",
  "arch_sys_counter",
  "hyperv_clocksource_tsc_page",
]);
const LATE_MS = 1;
const PROBES = 21;

export function checkClock(host: Host): Finding {
  const check = new Check("clock", "clock");
  const directory = "/sys/devices/system/clocksource/clocksource0";
  const source = host.read(`${directory}/current_clocksource`);
  if (source === undefined) return check.ok("its source cannot be told");
  const available = host.read(`${directory}/available_clocksource`) ?? source;
  if (FAST_SOURCES.has(source)) return check.ok(`source ${source}`);
  return check.warn(
    `source ${source} (available: ${available})`,
    "every look at the clock is a system call; boot with clocksource=tsc where the processor allows it",
  );
}

/** @param latenessMs how late some deadlines were met */
export function checkDeadlines(host: Host, latenessMs: readonly number[]): Finding {
  const check = new Check("deadlines", "deadlines");
  const sorted = [...latenessMs].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
  const slackNs = Number(host.read("/proc/self/timerslack_ns") ?? Number.NaN);
  const slack = Number.isNaN(slackNs) ? "" : `, timer slack ${slackNs / 1000} µs`;
  const finding = `met ${microseconds(at(0.5))} late in half of ${sorted.length} tries, ${microseconds(at(1))} at worst${slack}`;
  return at(0.5) > LATE_MS
    ? check.warn(
        finding,
        "reading every millisecond will miss deadlines (they are counted): use a longer --interval, or give the host more processor time",
      )
    : check.ok(finding);
}

/** Sleeps to some deadlines, a millisecond apart, and says how late it woke. */
export function probeDeadlines(): number[] {
  return Array.from({ length: PROBES }, () => {
    const deadlineNs = monotonicNs() + 1e6;
    sleepUntilNs(deadlineNs);
    return (monotonicNs() - deadlineNs) / 1e6;
  });
}

function microseconds(ms: number): string {
  return `${Math.round(ms * 1000)} µs`;
}
