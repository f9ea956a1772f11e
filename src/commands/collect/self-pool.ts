// What `microview collect` tells scrapers of itself, as a pool like any other: application "microview", service "collect".

import type { TargetStatistics } from "../../collector/index.ts";
import type { ExposedPool } from "../../exposition/index.ts";
import { Directory, RecordWriter } from "../../layout/index.ts";

interface SelfMetric {
  name: string;
  kind: "counter" | "gauge";
  help: string;
  of(statistics: TargetStatistics): number;
}

const METRICS: readonly SelfMetric[] = [
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

const WRITER = 1;

export class SelfPool {
  readonly app = "microview";
  readonly #directory: Directory;

  /** @param statistics of the agents that are read, which stay the same ones */
  constructor(readonly statistics: () => readonly TargetStatistics[]) {
    const sources = statistics().map(({ source }) => source);
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
    let series = 1;
    for (const [i, { name, kind, help }] of METRICS.entries()) {
      const labelNames = ["instance"];
      records.metric(i + 1, 1, {
        name,
        kind,
        help,
        unit: "",
        labelNames,
        combine: "sum",
        bounds: [],
      });
      for (const source of sources) records.series(series++, i + 1, [source]);
    }
    // Each has a page that does not exist: values are told, and not stored.
    for (let id = 1; id < series; id++) {
      records.bind({ writer: WRITER, firstSeries: id, count: 1, page: id, slot: 0 });
    }
    this.#directory = new Directory(0, series + 1);
    this.#directory.append(records.bytes.bytes());
  }

  read(): ExposedPool {
    const statistics = this.statistics();
    const values = METRICS.flatMap(({ of }) => statistics.map(of));
    return { app: this.app, directory: this.#directory, values: Float64Array.from(values) };
  }
}
