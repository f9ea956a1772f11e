// The metrics of services' processes. They carry the application as a label, for they lie in the agent's own.

import type { Combine, MetricDefinition } from "../../layout/index.ts";

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

export type SeriesName = keyof typeof SERIES;

/** Where a process lives. Always 1. */
export const INFO = define("gauge", "_info", "Where processes live: always 1 for each.", [
  "runtime",
  "container",
  "pod",
  "unit",
]);
