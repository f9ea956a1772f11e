// Services under load, as a recording sees them: pools of ten thousand series whose values change from snapshot to
// snapshot, without the services. The same seed gives the same values.

import type { MetricDefinition, PoolSnapshot } from "../../src/layout/index.ts";
import { RecordedPool } from "../../src/sinks/recording/recorded-pool.ts";

/** What becomes of the values at each snapshot. */
export type LoadName = keyof typeof LOADS;

interface Load {
  /** Series of each kind. */
  counters: number;
  gauges: number;
  histograms: number;
  /** Of the series, how many change at each snapshot. */
  share: number;
}

/** Of a recorded run, by what is in it. */
export const LOADS = {
  /** Requests that spread over the series as requests do: some often, most now and then. */
  "services under load, 5 % change": {
    counters: 7000,
    gauges: 2000,
    histograms: 1000,
    share: 0.05,
  },
  "counters, all change": { counters: 10_000, gauges: 0, histograms: 0, share: 1 },
  "gauges, all change": { counters: 0, gauges: 10_000, histograms: 0, share: 1 },
} as const satisfies Readonly<Record<string, Load>>;

const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const BASE = {
  help: "Something that is counted.",
  combine: "sum",
  bounds: [] as number[],
} as const;
const LABEL_NAMES = ["method", "route", "status"];
const SERVICES = ["auth", "orders", "payments", "search", "gateway", "mail", "stock", "users"];
const START_MS = Date.UTC(2026, 0, 1);

interface Cell {
  at: number;
  kind: "counter" | "gauge" | "histogram";
}

export class RecordedLoad {
  readonly pool = new RecordedPool("host-1:7070", "shop");
  readonly seriesCount: number;
  readonly #cells: Cell[] = [];
  readonly #load: Load;
  readonly #random = mulberry32(7);
  #sequence = 0;

  constructor(
    name: LoadName,
    readonly intervalMs = 1,
  ) {
    this.#load = LOADS[name];
    const { counters, gauges, histograms } = this.#load;
    this.#add("counter", "http_requests_total", counters, "");
    this.#add("gauge", "queue_bytes", gauges, "bytes");
    this.#add("histogram", "http_request_duration_seconds", histograms, "seconds");
    this.seriesCount = this.#cells.length;
  }

  /** The next snapshot. Its arrays are used again. */
  next(): PoolSnapshot {
    const { share } = this.#load;
    const count = this.#cells.length;
    const random = this.#random;
    if (share === 1) for (const cell of this.#cells) this.#step(cell);
    else {
      const changes = Math.round(count * share);
      // The square of an even distribution: a tenth of the series gets a third of the changes.
      for (let i = 0; i < changes; i++) this.#step(this.#cells[Math.floor(random() ** 2 * count)]!);
    }
    const { pool } = this;
    pool.gather();
    const sequence = ++this.#sequence;
    // A deadline each interval, kept as on a busy machine.
    const lateMs = 0.05 + random() * 0.1;
    const atMs = sequence * this.intervalMs + lateMs;
    return {
      source: pool.source,
      app: pool.app,
      sequence,
      takenAtMs: START_MS + atMs,
      monotonicNs: Math.round(atMs * 1e6),
      readMs: 0.02 + random() * 0.01,
      latenessMs: lateMs,
      missed: 0,
      gap: undefined,
      generation: 2,
      structure: pool.structure,
      slots: { kind: "copy", data: pool.slots },
      values: pool.values,
    };
  }

  #step({ at, kind }: Cell): void {
    const { slots } = this.pool;
    const random = this.#random;
    switch (kind) {
      case "counter":
        slots[at]! += 1 + Math.floor(random() * 10);
        return;
      case "gauge":
        // A random walk over all the digits that a number has.
        slots[at]! += random() - 0.5;
        return;
      default: {
        // Most requests are quick.
        const seconds = 0.001 * (1 / (1 - random()));
        const bucket = BOUNDS.findIndex((bound) => seconds <= bound);
        slots[at + (bucket < 0 ? BOUNDS.length : bucket)]!++;
        slots[at + BOUNDS.length + 1]! += seconds;
      }
    }
  }

  #add(kind: Cell["kind"], name: string, count: number, unit: string): void {
    const bounds = kind === "histogram" ? BOUNDS : BASE.bounds;
    const definition: MetricDefinition = {
      ...BASE,
      name,
      kind,
      unit,
      labelNames: LABEL_NAMES,
      bounds,
    };
    for (let i = 0; i < count; i++) {
      const service = SERVICES[Math.floor((i * SERVICES.length) / count)]!;
      const labelValues = ["GET", `/route/${i >> 2}`, String(200 + (i & 3))];
      const { at, slots } = this.pool.add({
        ...{ series: i, service, definition, labelValues, sinceMs: START_MS },
        writer: undefined,
      });
      this.pool.slots.fill(0, at, at + slots);
      // Services have run for a while.
      if (kind !== "histogram") this.pool.slots[at] = Math.floor(this.#random() * 1e6);
      this.#cells.push({ at, kind });
    }
  }
}

/** https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
