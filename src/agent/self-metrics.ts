// The agent's own metrics, in a pool of its own like any service's: application "microview", service "agent".

import type { MetricDefinition } from "../layout/index.ts";
import type { LocalWriter, LocalWriters } from "./local-writer.ts";

const SELF_SERVICE = "agent";

const METRICS = {
  apps: ["gauge", "microview_agent_apps", "Applications on this host.", []],
  writers: ["gauge", "microview_agent_writers", "Living writers.", ["app"]],
  pages: ["gauge", "microview_agent_pages_used", "Pages in use, 4 KiB each.", ["app"]],
  series: ["gauge", "microview_agent_series", "Series known.", ["app"]],
  directoryBytes: [
    "gauge",
    "microview_agent_directory_bytes",
    "Bytes of the directory in use.",
    ["app"],
  ],
  attached: ["counter", "microview_agent_writers_attached_total", "Writers that attached.", []],
  registered: ["counter", "microview_agent_series_registered_total", "Series that were new.", []],
  folded: [
    "counter",
    "microview_agent_writers_folded_total",
    "Writers that died or left and whose counts were kept.",
    [],
  ],
  foldsPostponed: [
    "counter",
    "microview_agent_folds_postponed_total",
    "Attempts to keep a dead writer's counts that found no room.",
    [],
  ],
  valuesRefused: [
    "counter",
    "microview_agent_values_refused_total",
    "Values of dead writers that no counter can have.",
    [],
  ],
  poolsLost: [
    "counter",
    "microview_agent_pools_lost_total",
    "Pools whose file was removed or replaced, and that were put back.",
    [],
  ],
  setAside: [
    "counter",
    "microview_agent_pools_set_aside_total",
    "Damaged pools that were given another name, if they could be.",
    [],
  ],
  leftAlone: [
    "counter",
    "microview_agent_pools_left_alone_total",
    "Files with names of pools that are not used and stay: another user's, another agent's, or of another version.",
    [],
  ],
  limits: [
    "counter",
    "microview_agent_limit_reached_total",
    "Requests refused because a limit was reached, by code.",
    ["code"],
  ],
  requests: ["counter", "microview_agent_requests_total", "REST requests by status.", ["status"]],
  denied: [
    "counter",
    "microview_agent_denied_total",
    "REST requests refused for want of a token, or of the right to an application.",
    [],
  ],
  scrapesCut: [
    "counter",
    "microview_agent_scrapes_cut_total",
    "Long answers to scrapes that were not taken in time.",
    [],
  ],
  nameClashes: [
    "counter",
    "microview_agent_name_clashes_total",
    "Metrics that scrapers are shown without their type, or with one more label, for their names clash.",
    [],
  ],
  scanSeconds: [
    "counter",
    "microview_agent_scan_seconds_total",
    "Time spent looking for dead writers.",
    [],
  ],
  scans: ["counter", "microview_agent_scans_total", "Rounds of looking for dead writers.", []],
  processSeconds: [
    "counter",
    "microview_agent_process_sampling_seconds_total",
    "Time spent sampling the processes of services.",
    [],
  ],
  kubernetesPods: [
    "gauge",
    "microview_agent_kubernetes_pods",
    "Pods of this node whose names are known.",
    [],
  ],
  kubernetesRequests: [
    "counter",
    "microview_agent_kubernetes_requests_total",
    "Requests to the API server of Kubernetes, when they end: ok, the status of HTTP, or error.",
    ["verb", "result"],
  ],
  kubernetesLeftOut: [
    "counter",
    "microview_agent_kubernetes_left_out_total",
    "What the API server sent as pods and was left out: malformed, or full.",
    ["reason"],
  ],
  dataConnections: [
    "gauge",
    "microview_agent_data_connections",
    "Open connections to the data port.",
    [],
  ],
  dataRefused: [
    "counter",
    "microview_agent_data_refused_total",
    "Connections to the data port above the limit.",
    [],
  ],
  dataYielded: [
    "counter",
    "microview_agent_data_yielded_total",
    "Connections to the data port closed to make room for others: those of the caller with the most, or idle ones.",
    [],
  ],
  dataDenied: [
    "counter",
    "microview_agent_data_denied_total",
    "Connections to the data port with a wrong token.",
    [],
  ],
  dataMalformed: [
    "counter",
    "microview_agent_data_malformed_total",
    "Connections to the data port that did not speak its protocol.",
    [],
  ],
  dataReads: [
    "counter",
    "microview_agent_data_reads_total",
    "Requests served on the data port.",
    [],
  ],
  dataBytes: [
    "counter",
    "microview_agent_data_sent_bytes_total",
    "Bytes of pools sent on the data port.",
    [],
  ],
  rdmaQueuePairs: [
    "gauge",
    "microview_agent_rdma_queue_pairs",
    "Queue pairs of collectors that read by RDMA.",
    [],
  ],
  rdmaPinned: [
    "gauge",
    "microview_agent_rdma_pinned_bytes",
    "Memory registered for collectors that read by RDMA.",
    [],
  ],
  rdmaRefused: [
    "counter",
    "microview_agent_rdma_refused_total",
    "Queue pairs ended because their collector read what it may not, or because they broke.",
    [],
  ],
  pushSamples: [
    "counter",
    "microview_agent_push_samples_total",
    "Samples that a receiver has taken, by protocol.",
    ["protocol"],
  ],
  pushRequests: [
    "counter",
    "microview_agent_push_requests_total",
    "Requests to receivers, those that were sent again included.",
    ["protocol"],
  ],
  pushBytes: [
    "counter",
    "microview_agent_push_sent_bytes_total",
    "Bytes of the bodies of these requests.",
    ["protocol"],
  ],
  pushRetries: [
    "counter",
    "microview_agent_push_retries_total",
    "Requests that a receiver did not take and that were kept.",
    ["protocol"],
  ],
  pushRefused: [
    "counter",
    "microview_agent_push_refused_samples_total",
    "Samples that a receiver refused for good.",
    ["protocol"],
  ],
  pushDropped: [
    "counter",
    "microview_agent_push_dropped_samples_total",
    "Samples for which there was no room while a receiver was away.",
    ["protocol"],
  ],
  pushWaiting: [
    "gauge",
    "microview_agent_push_waiting_samples",
    "Samples that wait for a receiver.",
    ["protocol"],
  ],
  pushWaitingBytes: [
    "gauge",
    "microview_agent_push_waiting_bytes",
    "Bytes of the requests that wait.",
    ["protocol"],
  ],
  eventRings: ["gauge", "microview_agent_event_rings", "Rings of events that are shipped.", []],
  eventsShipped: [
    "counter",
    "microview_agent_events_shipped_total",
    "Logs, measures and spans that the lake has taken.",
    [],
  ],
  eventsLost: [
    "counter",
    "microview_agent_events_lost_total",
    "Events that were in the spool and did not arrive: no room, too old, their file damaged, or refused by the lake.",
    ["cause"],
  ],
  eventsSkipped: [
    "counter",
    "microview_agent_events_skipped_total",
    "Records of rings whose types this agent does not know, and that it has left out.",
    [],
  ],
  eventsUnreadBytes: [
    "counter",
    "microview_agent_events_unread_bytes_total",
    "Bytes of rings that were damaged or overwritten before they were read.",
    [],
  ],
  eventRequests: [
    "counter",
    "microview_agent_event_requests_total",
    "Requests to the lake, those that were sent again included.",
    [],
  ],
  eventRetries: [
    "counter",
    "microview_agent_event_retries_total",
    "Requests that the lake did not take and that were kept.",
    [],
  ],
  eventBytes: [
    "counter",
    "microview_agent_event_sent_bytes_total",
    "Bytes of the bodies of these requests.",
    [],
  ],
  eventsWaiting: [
    "gauge",
    "microview_agent_events_waiting",
    "Events that wait in the spool for the lake.",
    [],
  ],
  spoolBytes: [
    "gauge",
    "microview_agent_event_spool_bytes",
    "Bytes of the spool, with what the lake has refused.",
    [],
  ],
  eventLag: [
    "gauge",
    "microview_agent_event_lag_seconds",
    "How long the oldest events in the spool have waited.",
    [],
  ],
  startTime: [
    "gauge",
    "microview_agent_start_time_seconds",
    "When this agent started, unix time.",
    [],
  ],
} as const satisfies Record<
  string,
  readonly ["counter" | "gauge", string, string, readonly string[]]
>;

export type SelfMetric = keyof typeof METRICS;

const DEFINITIONS = Object.fromEntries(
  Object.entries(METRICS).map(([metric, [kind, name, help, labelNames]]) => [
    metric,
    { name, kind, help, unit: "", labelNames, combine: "sum", bounds: [] },
  ]),
) as unknown as Readonly<Record<SelfMetric, MetricDefinition>>;

export class SelfMetrics {
  readonly #writer: LocalWriter;

  constructor(writers: LocalWriters) {
    this.#writer = writers.writer(SELF_SERVICE, process.pid);
  }

  /** Adds to a counter. */
  add(metric: SelfMetric, amount = 1, ...labels: string[]): void {
    this.#writer.series(DEFINITIONS[metric], labels).add(amount);
  }

  set(metric: SelfMetric, amount: number, ...labels: string[]): void {
    this.#writer.series(DEFINITIONS[metric], labels).set(amount);
  }

  /** Removes the metrics of an application that is gone. */
  forget(app: string): void {
    this.#writer.removeWhere(({ definition, labelValues }) => {
      const at = definition.labelNames.indexOf("app");
      return at >= 0 && labelValues[at] === app;
    });
  }
}
