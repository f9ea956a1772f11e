// What `microview collect` tells scrapers of itself, as a pool like any other: application "microview", service "collect".

import type { TargetStatistics } from "../../collector/index.ts";
import type { ExportCounters } from "../../export/index.ts";
import type { ExposedPool } from "../../exposition/index.ts";
import { Directory, RecordWriter } from "../../layout/index.ts";

interface SelfMetric<Of> {
  name: string;
  kind: "counter" | "gauge";
  help: string;
  of(subject: Of): number;
}

/** Of each agent that is read. */
const TARGET_METRICS: readonly SelfMetric<TargetStatistics>[] = [
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
    of: ({ samples }) => samples,
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
    of: ({ waitingSamples }) => waitingSamples,
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

const WRITER = 1;

export class SelfPool {
  readonly app = "microview";
  readonly #directory: Directory;

  /**
   * @param statistics of the agents that are read, which stay the same ones
   * @param pushes what exporters have done, which stay the same ones too
   * @param scrapes those of this collector
   */
  constructor(
    readonly statistics: () => readonly TargetStatistics[],
    readonly pushes: () => readonly ExportCounters[],
    readonly scrapes: ScrapeCounts,
  ) {
    const records = new RecordWriter().service(1, "collect");
    records.writer({
      id: WRITER,
      service: 1,
      flags: 0,
      pid: process.pid,
      threadId: 0,
      startedAtMs: Date.now(),
      lockOffset: 0,
      lockBytes: 0,
    });
    let metric = 0;
    let series = 0;
    const declare = (
      metrics: readonly Pick<SelfMetric<never>, "name" | "kind" | "help">[],
      label: string | undefined,
      values: readonly string[],
    ) => {
      if (values.length === 0) return;
      const labelNames = label === undefined ? [] : [label];
      for (const { name, kind, help } of metrics) {
        const rest = { unit: "", labelNames, combine: "sum", bounds: [] } as const;
        records.metric(++metric, 1, { name, kind, help, ...rest });
        for (const value of values) {
          records.series(++series, metric, label === undefined ? [] : [value]);
        }
      }
    };
    const sources = statistics().map(({ source }) => source);
    declare(TARGET_METRICS, "instance", sources);
    const protocols = pushes().map(({ protocol }) => protocol);
    declare(PUSH_METRICS, "protocol", protocols);
    declare(SCRAPE_METRICS, undefined, [""]);
    // Each has a page that does not exist: values are told, and not stored.
    for (let id = 1; id <= series; id++) {
      records.bind({ writer: WRITER, firstSeries: id, count: 1, page: id, slot: 0 });
    }
    this.#directory = new Directory(0, series + 2, "own");
    this.#directory.append(records.bytes.bytes());
  }

  read(): ExposedPool {
    const statistics = this.statistics();
    const pushes = this.pushes();
    const values = [
      ...TARGET_METRICS.flatMap(({ of }) => statistics.map(of)),
      ...PUSH_METRICS.flatMap(({ of }) => pushes.map(of)),
      ...SCRAPE_METRICS.map(({ of }) => of(this.scrapes)),
    ];
    return { app: this.app, directory: this.#directory, values: Float64Array.from(values) };
  }
}
