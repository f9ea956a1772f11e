// Snapshots of a pool that is nowhere: a directory, and values that change. For benchmarks of what is pushed.

import {
  type MetricDefinition,
  PoolBuilder,
  type PoolSnapshot,
  slotsPerSeries,
} from "../../src/layout/index.ts";

export const START_MS = Date.UTC(2026, 0, 1);
export const HOME = { app: "shop", instance: "host-1.example:7070", service: "orders" };

const BASE = {
  unit: "",
  help: "",
  combine: "sum",
  labelNames: ["method", "route", "status"],
} as const;
export const COUNTER: MetricDefinition = {
  ...BASE,
  name: "http_requests_total",
  kind: "counter",
  bounds: [],
};
export const HISTOGRAM: MetricDefinition = {
  ...BASE,
  name: "http_request_duration_seconds",
  kind: "histogram",
  bounds: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
};
export const LOG_LINEAR: MetricDefinition = {
  ...BASE,
  name: "http_request_duration_seconds",
  kind: "loglinear",
  bounds: [],
  logLinear: { min: 1e-6, max: 1e3, error: 0.0625 },
};

/** One metric, with so many series. */
export interface PoolShape {
  definition: MetricDefinition;
  series: number;
  /** When its writer began; 0 does not say. */
  startedAtMs?: number;
}

export class PoolSource {
  #snapshot: PoolSnapshot;

  constructor({ definition, series, startedAtMs = 0 }: PoolShape) {
    const pool = new PoolBuilder(HOME.app);
    const service = pool.service(HOME.service);
    const writer = pool.writer(service, { pid: 1, startedAtMs });
    const metric = pool.metric(service, definition);
    for (let i = 0; i < series; i++) pool.series(writer, metric, labelValues(i));
    const { structure } = pool;
    const slots = slotsPerSeries(definition);
    this.#snapshot = {
      source: "local",
      app: HOME.app,
      sequence: 0,
      takenAtMs: START_MS,
      monotonicNs: 0,
      readMs: 0,
      latenessMs: 0,
      missed: 0,
      gap: undefined,
      generation: 0,
      structure,
      slots: { kind: "copy", data: new Float64Array() },
      values: new Float64Array(structure.valueCount).map((_, i) =>
        startValue(definition, i, slots),
      ),
    };
  }

  next(): PoolSnapshot {
    const { values, takenAtMs } = this.#snapshot;
    this.#snapshot = { ...this.#snapshot, takenAtMs: takenAtMs + 1 };
    for (let i = 0; i < values.length; i += 16) if (values[i] !== 0) values[i]!++;
    return this.#snapshot;
  }
}

export function labelValues(i: number): string[] {
  return [
    ["GET", "POST", "PUT"][i % 3]!,
    `/api/v1/things/${i}`,
    ["200", "404", "500"][i % 7] ?? "201",
  ];
}

/** Of a log-linear histogram a dozen of its buckets have counted, as of a service whose requests take about as long. */
function startValue({ kind }: MetricDefinition, i: number, slots: number): number {
  if (kind !== "loglinear") return i * 1.5;
  const slot = i % slots;
  return (slot > 120 && slot < 133) || slot === slots - 1 ? i : 0;
}
