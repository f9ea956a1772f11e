// The metrics of services' processes. They carry the application as a label, for they lie in the agent's own.

import {
  CONTAINER_ID_SHOWN,
  type Combine,
  INFO_LABELS,
  INFO_METRIC,
  type MetricDefinition,
  type ProcessIdentity,
} from "../../layout/index.ts";
import type { MemoryShares } from "./proc.ts";

function define(
  kind: "counter" | "gauge",
  name: string,
  help: string,
  labels: readonly string[] = [],
  combine: Combine = "sum",
): MetricDefinition {
  const labelNames = ["app", ...labels];
  return {
    name: `microview_process${name}`,
    kind,
    help,
    unit: "",
    labelNames,
    combine,
    bounds: [],
  };
}

const CPU = define("counter", "_cpu_seconds_total", "Processor time taken.", ["mode"]);
const FAULTS = define("counter", "_page_faults_total", "Page faults; major ones read from disk.", [
  "kind",
]);
const THREADS_CPU = define(
  "counter",
  "_thread_cpu_seconds_total",
  "Processor time by what threads do, in steps of 10 ms.",
  ["role"],
);
const SWITCHES = define("counter", "_context_switches_total", "Context switches.", ["kind"]);

/** What is told of each process, in the order of {@link Slots}. */
export const SERIES = {
  user: [CPU, ["user"]],
  system: [CPU, ["system"]],
  minorFaults: [FAULTS, ["minor"]],
  majorFaults: [FAULTS, ["major"]],
  voluntary: [SWITCHES, ["voluntary"]],
  involuntary: [SWITCHES, ["involuntary"]],
  processes: [define("gauge", "es", "Processes that write."), []],
  resident: [define("gauge", "_resident_bytes", "Resident memory, shared pages included."), []],
  mainThread: [THREADS_CPU, ["main"]],
  workerThreads: [THREADS_CPU, ["worker"]],
  collectorThreads: [THREADS_CPU, ["gc"]],
  compilerThreads: [THREADS_CPU, ["jit"]],
  poolThreads: [THREADS_CPU, ["pool"]],
  httpThread: [THREADS_CPU, ["http"]],
  otherThreads: [THREADS_CPU, ["other"]],
  waited: [
    define(
      "counter",
      "_main_thread_wait_seconds_total",
      "Time in which the main thread could have run and had no processor.",
    ),
    [],
  ],
  virtual: [define("gauge", "_virtual_bytes", "Address space, most of it without memory."), []],
  anonymous: [
    define("gauge", "_anonymous_bytes", "Resident memory that is no file's: heaps and stacks."),
    [],
  ],
  openFilesMax: [define("gauge", "_max_fds", "File descriptors that may be open."), []],
  threads: [define("gauge", "_threads", "Threads."), []],
  openFiles: [define("gauge", "_open_fds", "Open file descriptors."), []],
  start: [
    define(
      "gauge",
      "_start_time_seconds",
      "When the youngest process started, unix time.",
      [],
      "max",
    ),
    [],
  ],
} as const satisfies Record<string, readonly [MetricDefinition, readonly string[]]>;

/** What is told beside it with --process-memory. */
export const MEMORY_SERIES = {
  proportionalBytes: [
    define("gauge", "_proportional_bytes", "Resident memory, shared pages by their part (PSS)."),
    [],
  ],
  privateBytes: [
    define("gauge", "_private_bytes", "Resident memory that nobody shares (USS)."),
    [],
  ],
  swapBytes: [define("gauge", "_swap_bytes", "Memory in swap, shared pages by their part."), []],
} as const satisfies Record<keyof MemoryShares, readonly [MetricDefinition, readonly string[]]>;

export type SeriesName = keyof typeof SERIES | keyof typeof MEMORY_SERIES;

/** Who a process is. Always 1; absent when it is withdrawn for one that tells more. */
export const INFO: MetricDefinition = {
  ...define(
    "gauge",
    "_info",
    "The container, pod or unit of processes: always 1.",
    Object.keys(INFO_LABELS),
    "max",
  ),
  name: INFO_METRIC,
};

/** Label values of {@link INFO}. */
export function infoOf(app: string, identity: ProcessIdentity): string[] {
  const { containerId } = identity;
  const shown = { ...identity, containerId: containerId.slice(0, CONTAINER_ID_SHOWN) };
  return [app, ...Object.values(INFO_LABELS).map((field) => shown[field])];
}
