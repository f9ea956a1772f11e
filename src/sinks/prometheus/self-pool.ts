// What a collector tells scrapers of itself, as a pool like any other: application "microview", service "collect".

import type { ExposedPool } from "../../exposition/index.ts";
import { AGENT_APP, PoolBuilder } from "../../layout/index.ts";
import type { ExportCounters } from "../delivery/export-counters.ts";

/** An agent that is read. */
export interface SourceStatistics {
  source: string;
  /** Why it is not read now. */
  away: string | undefined;
  /** How it is read; undefined before it was. */
  transport: string | undefined;
  snapshots: number;
  missed: number;
  gaps: number;
}

interface SelfMetric<Of> {
  name: string;
  kind: "counter" | "gauge";
  help: string;
  of(subject: Of): number;
}

/** Of each agent that is read. */
const TARGET_METRICS: readonly SelfMetric<SourceStatistics>[] = [
  {
    name: "microview_collect_up",
    kind: "gauge",
    help: "Whether the agent is read (1) or away (0).",
    of: ({ away, transport }) => (away === undefined && transport !== undefined ? 1 : 0),
  },
  {
    name: "microview_collect_snapshots_total",
    kind: "counter",
    help: "Snapshots that were read.",
    of: ({ snapshots }) => snapshots,
  },
  {
    name: "microview_collect_missed_deadlines_total",
    kind: "counter",
    help: "Deadlines that passed without a snapshot.",
    of: ({ missed }) => missed,
  },
  {
    name: "microview_collect_gaps_total",
    kind: "counter",
    help: "How often the agent went away.",
    of: ({ gaps }) => gaps,
  },
];

/** Of each receiver that is pushed to. */
const PUSH_METRICS: readonly SelfMetric<ExportCounters>[] = [
  {
    name: "microview_collect_push_samples_total",
    kind: "counter",
    help: "Samples that the receiver has taken.",
    of: ({ items }) => items,
  },
  {
    name: "microview_collect_push_requests_total",
    kind: "counter",
    help: "Requests to the receiver, those that were sent again included.",
    of: ({ requests }) => requests,
  },
  {
    name: "microview_collect_push_sent_bytes_total",
    kind: "counter",
    help: "Bytes of the bodies of these requests.",
    of: ({ bytes }) => bytes,
  },
  {
    name: "microview_collect_push_retries_total",
    kind: "counter",
    help: "Requests that the receiver did not take and that were kept.",
    of: ({ retries }) => retries,
  },
  {
    name: "microview_collect_push_refused_samples_total",
    kind: "counter",
    help: "Samples that the receiver refused for good.",
    of: ({ refused }) => refused,
  },
  {
    name: "microview_collect_push_dropped_samples_total",
    kind: "counter",
    help: "Samples for which there was no room while the receiver was away.",
    of: ({ dropped }) => dropped,
  },
  {
    name: "microview_collect_push_waiting_samples",
    kind: "gauge",
    help: "Samples that wait for the receiver.",
    of: ({ waitingItems }) => waitingItems,
  },
  {
    name: "microview_collect_push_waiting_bytes",
    kind: "gauge",
    help: "Bytes of the requests that wait.",
    of: ({ waitingBytes }) => waitingBytes,
  },
];

/** What has become of scrapes of this collector. */
export interface ScrapeCounts {
  refused: number;
  cut: number;
  clashes: number;
}

const SCRAPE_METRICS: readonly SelfMetric<ScrapeCounts>[] = [
  {
    name: "microview_collect_scrapes_refused_total",
    kind: "counter",
    help: "Scrapes that were told to come again, for as many were being answered as may be.",
    of: ({ refused }) => refused,
  },
  {
    name: "microview_collect_scrapes_cut_total",
    kind: "counter",
    help: "Long answers to scrapes that were not taken in time.",
    of: ({ cut }) => cut,
  },
  {
    name: "microview_collect_name_clashes_total",
    kind: "counter",
    help: "Metrics that are shown or sent without their type, or with one more label, for their names clash.",
    of: ({ clashes }) => clashes,
  },
];

export class SelfPool {
  readonly app = AGENT_APP;
  readonly #pool = new PoolBuilder(this.app);
  /** Where each value goes, and where it comes from. */
  readonly #cells: { at: number; read(): number }[] = [];

  /**
   * @param statistics of the agents that are read, which stay the same ones
   * @param pushes what those that push have done, which stay the same ones too
   * @param scrapes those of this collector
   */
  constructor(
    statistics: () => readonly SourceStatistics[],
    pushes: () => readonly ExportCounters[],
    scrapes: ScrapeCounts,
  ) {
    const service = this.#pool.service("collect");
    const writer = this.#pool.writer(service, { pid: process.pid, startedAtMs: Date.now() });
    this.#declare(service, writer, TARGET_METRICS, statistics, ({ source }) => ({
      instance: source,
    }));
    this.#declare(service, writer, PUSH_METRICS, pushes, ({ protocol }) => ({ protocol }));
    this.#declare(
      service,
      writer,
      SCRAPE_METRICS,
      () => [scrapes],
      () => ({}),
    );
  }

  read(): ExposedPool {
    for (const { at, read } of this.#cells) this.#pool.slots[at] = read();
    return { app: this.app, structure: this.#pool.structure, values: this.#pool.gather() };
  }

  #declare<Of>(
    service: number,
    writer: number,
    metrics: readonly SelfMetric<Of>[],
    subjects: () => readonly Of[],
    labelsOf: (subject: Of) => Readonly<Record<string, string>>,
  ): void {
    for (const { name, kind, help, of } of metrics) {
      for (const [i, subject] of subjects().entries()) {
        const labels = labelsOf(subject);
        const rest = {
          unit: "",
          labelNames: Object.keys(labels),
          combine: "sum",
          bounds: [],
        } as const;
        const metric = this.#pool.metric(service, { name, kind, help, ...rest });
        const { at } = this.#pool.series(writer, metric, Object.values(labels));
        this.#cells.push({ at, read: () => of(subjects()[i]!) });
      }
    }
  }
}
