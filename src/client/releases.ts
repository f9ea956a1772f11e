// Series that were removed and that the agent still keeps for this writer, until it is told.

import type { MetricDefinition } from "../layout/index.ts";
import type { SeriesRelease } from "../rest/index.ts";
import type { Series } from "./cells.ts";

export class Releases {
  readonly #series = new Map<MetricDefinition, Map<string, Series>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(series: Series): void {
    let ofMetric = this.#series.get(series.metric);
    if (ofMetric === undefined) {
      ofMetric = new Map();
      this.#series.set(series.metric, ofMetric);
    }
    const key = keyOf(series);
    if (!ofMetric.has(key)) this.#size++;
    ofMetric.set(key, series);
  }

  /** A series is there again: the agent must not be told to give up its place. */
  withdraw(series: Series): void {
    if (this.#size === 0) return;
    if (this.#series.get(series.metric)?.delete(keyOf(series))) this.#size--;
  }

  /** The first ones, at most so many. */
  batch(max: number): { request: SeriesRelease[]; series: Series[] } {
    const request: SeriesRelease[] = [];
    const series: Series[] = [];
    for (const [{ name, labelNames }, ofMetric] of this.#series) {
      const some = [...ofMetric.values()].slice(0, max - series.length);
      if (some.length === 0) continue;
      request.push({ name, labelNames, series: some.map(({ labelValues }) => labelValues) });
      series.push(...some);
    }
    return { request, series };
  }

  /** The agent has given them up. */
  done(series: readonly Series[]): void {
    for (const each of series) {
      const ofMetric = this.#series.get(each.metric);
      if (ofMetric?.get(keyOf(each)) === each) this.withdraw(each);
    }
  }

  /** There is nothing to give up any more. */
  clear(): void {
    this.#series.clear();
    this.#size = 0;
  }
}

function keyOf({ labelValues }: Series): string {
  return JSON.stringify(labelValues);
}
