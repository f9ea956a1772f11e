// The process as its runtime sees it: event loop, garbage collection, heap, what is open, version.

import { constants, monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics } from "node:v8";
import { Gauge } from "../gauge.ts";
import { Histogram } from "../histogram.ts";
import type { Maker } from "./gauges.ts";

const GC_DURATION_BUCKETS = [0.001, 0.01, 0.1, 1, 2, 5];

const GC_KINDS: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: "major",
  [constants.NODE_PERFORMANCE_GC_MINOR]: "minor",
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: "incremental",
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: "weakcb",
};

export function eventLoopLag(make: Maker): void {
  const { labels, config } = make;
  const delays = observeDelays(config.eventLoopMonitoringPrecision);
  if (delays === undefined) return;
  const lag = make.gauge("nodejs_eventloop_lag_seconds", "Lag of event loop in seconds.", {
    aggregator: "average",
    // One brings all of them up to date.
    collect: () => {
      const start = process.hrtime();
      setImmediate(() => {
        const [seconds, nanoseconds] = process.hrtime(start);
        lag.set(labels, seconds + nanoseconds / 1e9);
      });
      for (const { gauge, valueNs } of others) gauge.set(labels, valueNs() / 1e9);
      delays.reset();
    },
  });
  const delay = (name: string, help: string, aggregator: string, valueNs: () => number) => ({
    gauge: make.gauge(`nodejs_eventloop_lag_${name}_seconds`, help, { aggregator }),
    valueNs,
  });
  const percentile = (p: number) =>
    delay(`p${p}`, `The ${p}th percentile of the recorded event loop delays.`, "average", () =>
      delays.percentile(p),
    );
  const others = [
    delay("min", "The minimum recorded event loop delay.", "min", () => delays.min),
    delay("max", "The maximum recorded event loop delay.", "max", () => delays.max),
    delay("mean", "The mean of the recorded event loop delays.", "average", () => delays.mean),
    delay(
      "stddev",
      "The standard deviation of the recorded event loop delays.",
      "average",
      () => delays.stddev,
    ),
    percentile(50),
    percentile(90),
    percentile(99),
  ];
}

export function gc(make: Maker): void {
  const { labels, config } = make;
  const histogram = new Histogram({
    ...make.options(
      "nodejs_gc_duration_seconds",
      "Garbage collection duration by kind, one of major, minor, incremental or weakcb.",
      ["kind"],
    ),
    buckets: config.gcDurationBuckets ?? GC_DURATION_BUCKETS,
  });
  // Bun observes no collections: the histogram then stays empty, as prom-client's does there.
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { detail: { kind: number } })[]) {
      histogram.observe({ kind: GC_KINDS[entry.detail.kind], ...labels }, entry.duration / 1000);
    }
  });
  observer.observe({ entryTypes: ["gc"] });
}

export function heapSizeAndUsed(make: Maker): void {
  const { labels } = make;
  const total = make.gauge(
    "nodejs_heap_size_total_bytes",
    "Process heap size from Node.js in bytes.",
    {
      collect: () => {
        const { heapTotal, heapUsed, external: outside } = process.memoryUsage();
        total.set(labels, heapTotal);
        used.set(labels, heapUsed);
        external.set(labels, outside);
      },
    },
  );
  const used = make.gauge(
    "nodejs_heap_size_used_bytes",
    "Process heap size used from Node.js in bytes.",
  );
  const external = make.gauge(
    "nodejs_external_memory_bytes",
    "Node.js external memory size in bytes.",
  );
}

export function heapSpacesSizeAndUsed(make: Maker): void {
  if (heapSpaces() === undefined) return;
  const { labels } = make;
  const gauge = (what: string, collect?: () => void) =>
    new Gauge({
      ...make.options(
        `nodejs_heap_space_size_${what}_bytes`,
        `Process heap space size ${what} from Node.js in bytes.`,
        ["space"],
      ),
      ...(collect === undefined ? {} : { collect }),
    });
  const total = gauge("total", () => {
    for (const each of heapSpaces() ?? []) {
      const space = each.space_name.slice(0, each.space_name.indexOf("_space"));
      total.set({ space, ...labels }, each.space_size);
      used.set({ space, ...labels }, each.space_used_size);
      available.set({ space, ...labels }, each.space_available_size);
    }
  });
  const used = gauge("used");
  const available = gauge("available");
}

export function processResources(make: Maker): void {
  make.countsByType(
    "nodejs_active_resources",
    "Number of active resources that are currently keeping the event loop alive, grouped by async resource type.",
    "Total number of active resources.",
    () => process.getActiveResourcesInfo(),
  );
}

export function processHandles(make: Maker): void {
  const { _getActiveHandles: handles } = process as unknown as Internals;
  if (typeof handles !== "function") return;
  make.countsByType(
    "nodejs_active_handles",
    "Number of active libuv handles grouped by handle type. Every handle type is C++ class name.",
    "Total number of active handles.",
    () => handles.call(process).map(className),
  );
}

export function processRequests(make: Maker): void {
  const { _getActiveRequests: requests } = process as unknown as Internals;
  if (typeof requests !== "function") return;
  make.countsByType(
    "nodejs_active_requests",
    "Number of active libuv requests grouped by request type. Every request type is C++ class name.",
    "Total number of active requests.",
    () => requests.call(process).map(className),
  );
}

export function version(make: Maker): void {
  const [major, minor, patch] = process.version.slice(1).split(".").map(Number);
  const gauge = new Gauge({
    ...make.options("nodejs_version_info", "Node.js version info.", [
      "version",
      "major",
      "minor",
      "patch",
    ]),
    aggregator: "first",
    // Each time, so that it is there after a reset.
    collect: () => {
      gauge.set({ version: process.version, major, minor, patch, ...make.labels }, 1);
    },
  });
}

interface Internals {
  _getActiveHandles?(): object[];
  _getActiveRequests?(): object[];
}

function className(of: object): string {
  return of.constructor.name;
}

/** Undefined where the runtime does not offer it. */
function observeDelays(resolution = 10) {
  try {
    const delays = monitorEventLoopDelay({ resolution });
    delays.enable();
    return delays;
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_NOT_IMPLEMENTED") return undefined;
    throw error;
  }
}

/** Undefined where the runtime does not offer it. */
function heapSpaces() {
  try {
    return getHeapSpaceStatistics();
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_NOT_IMPLEMENTED") return undefined;
    throw error;
  }
}
