// Series that the agent has refused. They count in private memory and are asked for again rarely, a few at a time, so
// that 100,000 values of a label cost next to nothing; when there is room for those few, the others follow.

import { jittered } from "../calling/index.ts";
import type { MetricDefinition } from "../layout/index.ts";
import type { Series } from "./cells.ts";

/** A metric is asked for again after this long, then after twice as long each time. */
const FIRST_MS = 1_000;
const LAST_MS = 30_000;
/** Metrics that are asked for at one look, where a name varies that should not. */
const METRICS_MAX = 100;
/** Series of a metric that are asked for at once, when there is room for many. */
const SERIES_MAX = 5_000;

interface Refusal {
  readonly series: Set<Series>;
  /** How many are asked for next: one, and twice as many each time that all are placed. */
  next: number;
  dueMs: number;
  delayMs: number;
  /** Whether some were asked for and the answer is not known. */
  isAsked: boolean;
}

/** Times are in ms of any one clock. */
export class Refused {
  readonly #metrics = new Map<MetricDefinition, Refusal>();
  #size = 0;

  /** Series that wait here. */
  get size(): number {
    return this.#size;
  }

  has(metric: MetricDefinition): boolean {
    return this.#metrics.has(metric);
  }

  /** The agent has refused some series of a metric. */
  add(metric: MetricDefinition, series: readonly Series[], nowMs: number): void {
    const known = this.#metrics.get(metric);
    const refusal = known ?? {
      series: new Set(),
      next: 1,
      dueMs: 0,
      delayMs: FIRST_MS,
      isAsked: true,
    };
    for (const each of series) refusal.series.add(each);
    this.#size += series.length;
    // New series of a metric that waits put off nothing.
    if (!refusal.isAsked) return;
    refusal.isAsked = false;
    refusal.next = 1;
    // Services that were refused together do not ask together.
    refusal.dueMs = nowMs + jittered(refusal.delayMs);
    refusal.delayMs = Math.min(refusal.delayMs * 2, LAST_MS);
    // The others are asked for before it is its turn again.
    this.#metrics.delete(metric);
    this.#metrics.set(metric, refusal);
  }

  /** All series of a request for a metric were placed: if they had waited here, there is room for more of them. */
  placed(metric: MetricDefinition): void {
    const refusal = this.#metrics.get(metric);
    if (refusal === undefined || !refusal.isAsked) return;
    refusal.isAsked = false;
    refusal.next = Math.min(refusal.next * 2, SERIES_MAX);
    refusal.dueMs = 0;
    refusal.delayMs = FIRST_MS;
    if (refusal.series.size === 0) this.#metrics.delete(metric);
  }

  /** Removes and returns the series that are due. Call it only when the previous batch was answered or removed. */
  take(nowMs: number): Series[] {
    const taken: Series[] = [];
    let metrics = 0;
    for (const [metric, refusal] of this.#metrics) {
      if (refusal.series.size === 0) this.#metrics.delete(metric);
      if (refusal.series.size === 0 || refusal.dueMs > nowMs) continue;
      if (++metrics > METRICS_MAX) break;
      refusal.isAsked = true;
      let left = refusal.next;
      for (const series of refusal.series) {
        if (left-- === 0) break;
        refusal.series.delete(series);
        taken.push(series);
      }
    }
    this.#size -= taken.length;
    return taken;
  }

  /** A series was removed. */
  remove(series: Series): void {
    if (this.#metrics.get(series.metric)?.series.delete(series)) this.#size--;
  }

  /** There may be room now. */
  hasten(): void {
    for (const refusal of this.#metrics.values()) refusal.dueMs = 0;
  }

  /** Nothing waits here any more. */
  clear(): void {
    this.#metrics.clear();
    this.#size = 0;
  }
}
