// The agent's own metrics, in a pool of its own like any service's: application "microview", service "agent".
// They count from the first moment in private memory, and move into the pool when there is one.

import { SharedFile } from "../ffi/index.ts";
import { AGENT_APP, type MetricDefinition, type RegisterResponse } from "../layout/index.ts";
import type { Application } from "./application.ts";
import { AgentError, LimitError } from "./errors.ts";

export const SELF_APP = AGENT_APP;
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
    "Pools that could not be used.",
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

/** What becomes of the snapshots that are pushed beside the agent. */
export interface PushCounters {
  protocol: string;
  samples: number;
  requests: number;
  bytes: number;
  retries: number;
  refused: number;
  dropped: number;
  waitingSamples: number;
  waitingBytes: number;
}

export type SelfMetric = keyof typeof METRICS;

interface Value {
  metric: SelfMetric;
  labels: string[];
  /** Kept here until the pool has a slot for it. */
  pending: number;
  /** Index among the pool's f64s, or −1. */
  slot: number;
}

/** Series of removed applications are released in batches of this size: each release makes readers fetch the directory again. */
const RELEASED_AT_ONCE = 100;

export class SelfMetrics {
  readonly #values = new Map<string, Value>();
  /** Of applications that are gone: not shown any more, but still in the pool. */
  readonly #gone = new Map<string, Value>();
  /** How many there have to be for the next release. */
  #releaseAt = RELEASED_AT_ONCE;
  /** Of the last registration. */
  #turn = 0;
  #application: Application | undefined;
  #writerId = 0;
  /** Holds the writer's lock. */
  #file: SharedFile | undefined;

  /** Adds to a counter. */
  add(metric: SelfMetric, amount = 1, ...labels: string[]): void {
    const value = this.#value(metric, labels);
    this.#store(value, this.#load(value) + amount);
  }

  set(metric: SelfMetric, amount: number, ...labels: string[]): void {
    this.#store(this.#value(metric, labels), amount);
  }

  /** Whether it has a place in the agent's own pool. */
  get attached(): boolean {
    return this.#application !== undefined;
  }

  /**
   * Takes a place in the agent's own pool, as a writer with a lock like all others.
   * @throws Error when it has got none; it may be called again
   */
  attach(application: Application): void {
    const writer = application.attach({ service: SELF_SERVICE, pid: process.pid, threadId: 0 });
    this.#application = application;
    this.#writerId = writer.id;
    try {
      this.follow();
    } catch (error) {
      application.detach(writer.id);
      throw error;
    }
    this.#register([...this.#values.values()]);
  }

  /**
   * Its application has another pool, in which all places are the same.
   * @throws Error when it could not take its lock there; it has no place then
   */
  follow(): void {
    const application = this.#application;
    if (application === undefined) return;
    try {
      const { lockOffset, lockBytes } = application.writer(this.#writerId);
      this.#file?.close();
      this.#file = undefined;
      // Held on an opening of its own until the agent ends: that is how the next one sees that this one is gone.
      this.#file = SharedFile.open(application.pool.path, true);
      this.#file.lock(lockOffset, lockBytes);
      application.hold(this.#writerId, application.pool.header.poolId);
    } catch (error) {
      const placed = [...this.#values.values()].filter(({ slot }) => slot >= 0);
      this.detach();
      // What a writer without its lock has counted is kept as a dead one's: it is not to be counted twice.
      for (const value of placed) if (METRICS[value.metric][0] === "counter") value.pending = 0;
      throw error;
    }
  }

  /** Tries again for what had no room, and makes room. */
  settle(): void {
    if (this.#gone.size >= this.#releaseAt) this.#release();
    this.#register([...this.#values.values()].filter(({ slot }) => slot < 0));
  }

  /** Removes the metrics of an application that is gone. */
  forget(app: string): void {
    for (const [key, value] of this.#values) {
      const at = definition(value.metric).labelNames.indexOf("app");
      if (at < 0 || value.labels[at] !== app) continue;
      this.#values.delete(key);
      if (value.slot < 0) continue;
      this.#store(value, Number.NaN);
      this.#gone.set(key, value);
    }
  }

  #release(): void {
    const releases = [...this.#gone.values()].map(({ metric, labels }) => {
      const { name, labelNames } = definition(metric);
      return { name, labelNames, series: [labels] };
    });
    try {
      this.#application?.release(this.#writerId, releases, this.#turn);
      this.#gone.clear();
      this.#releaseAt = RELEASED_AT_ONCE;
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      // It is too soon, or there is no room for it: later, when it brings more.
      this.#releaseAt = this.#gone.size + RELEASED_AT_ONCE;
    }
  }

  /** Lets go of the pool, which is about to be unmapped; goes on in private memory. */
  detach(): void {
    for (const value of this.#values.values()) {
      value.pending = this.#load(value);
      value.slot = -1;
    }
    // They expire with the writer, as gauges do.
    this.#gone.clear();
    this.#application = undefined;
    this.#file?.close();
    this.#file = undefined;
  }

  #value(metric: SelfMetric, labels: string[]): Value {
    const key = `${metric} ${labels.join(" ")}`;
    let value = this.#values.get(key);
    if (value === undefined) {
      value = { metric, labels, pending: 0, slot: -1 };
      this.#values.set(key, value);
      this.#gone.delete(key);
      if (this.#application !== undefined) this.#register([value]);
    }
    return value;
  }

  #register(values: readonly Value[]): void {
    const application = this.#application;
    if (application === undefined || values.length === 0) return;
    const { results } = this.#ask(application, values);
    for (const [i, value] of values.entries()) {
      const place = results[i]?.runs[0];
      if (place === undefined) continue;
      value.slot = application.pool.slotIndexOf(place[0], place[1]);
      application.pool.slots[value.slot] = value.pending;
    }
  }

  /** Counting must not fail for lack of room: a series that is refused counts in private memory. */
  #ask(application: Application, values: readonly Value[]): Pick<RegisterResponse, "results"> {
    try {
      const response = application.register(
        this.#writerId,
        values.map(({ metric, labels }) => ({ ...definition(metric), series: [labels] })),
      );
      this.#turn = response.turn;
      return response;
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      return { results: [] };
    }
  }

  #load(value: Value): number {
    return value.slot < 0 ? value.pending : this.#application!.pool.slots[value.slot]!;
  }

  #store(value: Value, amount: number): void {
    if (value.slot < 0) value.pending = amount;
    else this.#application!.pool.slots[value.slot] = amount;
  }
}

function definition(metric: SelfMetric): MetricDefinition {
  const [kind, name, help, labelNames] = METRICS[metric];
  return { name, kind, help, unit: "", labelNames, combine: "sum", bounds: [] };
}
