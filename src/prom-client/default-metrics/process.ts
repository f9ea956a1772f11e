// The process as the system sees it: processor time, memory, file descriptors, start.

import { readdirSync, readFileSync } from "node:fs";
import { Counter } from "../counter.ts";
import { currentSpan } from "./current-span.ts";
import type { Maker } from "./gauges.ts";

const startedAtS = Math.round(Date.now() / 1000 - process.uptime());

export function processCpuTotal(make: Maker): void {
  const { labels } = make;
  const enableExemplars = make.config.enableExemplars === true;
  let last = process.cpuUsage();
  const counter = (name: string, help: string, collect?: () => void) =>
    new Counter({
      ...make.options(name, help),
      enableExemplars,
      ...(collect === undefined ? {} : { collect }),
    });
  const add = (to: Counter, microseconds: number) => {
    const value = microseconds / 1e6;
    if (enableExemplars) to.inc({ labels, value, exemplarLabels: currentSpan() });
    else to.inc(labels, value);
  };
  // One brings all three up to date.
  const user = counter(
    "process_cpu_user_seconds_total",
    "Total user CPU time spent in seconds.",
    () => {
      const now = process.cpuUsage();
      const userUs = now.user - last.user;
      const systemUs = now.system - last.system;
      last = now;
      add(user, userUs);
      add(system, systemUs);
      add(both, userUs + systemUs);
    },
  );
  const system = counter(
    "process_cpu_system_seconds_total",
    "Total system CPU time spent in seconds.",
  );
  const both = counter(
    "process_cpu_seconds_total",
    "Total user and system CPU time spent in seconds.",
  );
}

export function processStartTime(make: Maker): void {
  const gauge = make.gauge(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
    { aggregator: "omit", collect: () => gauge.set(make.labels, startedAtS) },
  );
}

export function osMemoryHeap(make: Maker): void {
  const { labels } = make;
  const isLinux = process.platform === "linux";
  const resident = make.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", {
    collect: () => {
      if (!isLinux) {
        resident.set(labels, process.memoryUsage.rss());
        return;
      }
      const status = read("/proc/self/status");
      if (status === undefined) return;
      resident.set(labels, kilobytes(status, "VmRSS"));
      virtual?.set(labels, kilobytes(status, "VmSize"));
      heap?.set(labels, kilobytes(status, "VmData"));
    },
  });
  const virtual = isLinux
    ? make.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.")
    : undefined;
  const heap = isLinux
    ? make.gauge("process_heap_bytes", "Process heap size in bytes.")
    : undefined;
}

export function processOpenFileDescriptors(make: Maker): void {
  if (process.platform !== "linux") return;
  const gauge = make.gauge("process_open_fds", "Number of open file descriptors.", {
    collect: () => {
      try {
        // Without the one that this reads by.
        gauge.set(make.labels, readdirSync("/proc/self/fd").length - 1);
      } catch {
        // Without /proc there is nothing to tell.
      }
    },
  });
}

export function processMaxFileDescriptors(make: Maker): void {
  const limit = read("/proc/self/limits")?.match(/^Max open files\s+(\S+)/m)?.[1];
  if (limit === undefined) return;
  const gauge = make.gauge("process_max_fds", "Maximum number of open file descriptors.", {
    collect: () => gauge.set(make.labels, Number(limit)),
  });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function kilobytes(status: string, field: string): number {
  return Number(status.match(new RegExp(`^${field}:\\s*(\\d+)`, "m"))?.[1]) * 1024;
}
