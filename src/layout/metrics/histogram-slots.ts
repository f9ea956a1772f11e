// Counts and quantiles of one series out of its slots, for both kinds of histogram. Used by sinks and inspect.

import { bucketQuantile, logLinearBounds } from "../definitions/histogram.ts";
import { shapeOf } from "../definitions/metric.ts";
import type { Metric } from "../memory/entries.ts";

/** The upper bound of each bucket slot, +Inf last; none for a counter or gauge. */
export function exposedBounds(metric: Metric): number[] {
  const { definition } = metric;
  if (definition.kind === "histogram") return [...definition.bounds, Number.POSITIVE_INFINITY];
  if (definition.kind === "loglinear") {
    // The underflow bucket ends where the first bucket starts.
    return [...logLinearBounds(shapeOf(definition)), Number.POSITIVE_INFINITY];
  }
  return [];
}

/** Reads the slots of a histogram's series; made once per metric, since it keeps where the buckets end. */
export class HistogramSlots {
  readonly #upper: Float64Array;
  readonly #lowest: number;
  readonly #geometric: boolean;

  private constructor(metric: Metric) {
    this.#upper = Float64Array.from(exposedBounds(metric));
    this.#geometric = metric.definition.kind === "loglinear";
    // As Prometheus's histogram_quantile: from zero, unless the first bucket itself ends below.
    this.#lowest = this.#geometric ? 0 : Math.min(0, this.#upper[0]!);
  }

  /** Undefined for a counter or gauge. */
  static of(metric: Metric): HistogramSlots | undefined {
    const { kind } = metric.definition;
    return kind === "histogram" || kind === "loglinear" ? new HistogramSlots(metric) : undefined;
  }

  /** Observations in a series whose slots start at `at`. */
  count(slots: Float64Array, at: number): number {
    let count = 0;
    for (let i = 0; i < this.#upper.length; i++) count += slots[at + i]!;
    return count;
  }

  sum(slots: Float64Array, at: number): number {
    return slots[at + this.#upper.length]!;
  }

  /** Values below which shares of the observations lie; NaN without observations. */
  quantiles(slots: Float64Array, at: number, shares: readonly number[]): number[] {
    const counts = slots.subarray(at, at + this.#upper.length);
    return shares.map((q) => bucketQuantile(q, counts, this.#upper, this.#lowest, this.#geometric));
  }

  /** As {@link HistogramSlots.quantiles}, of what was observed since an earlier state. */
  quantilesSince(
    before: Float64Array,
    slots: Float64Array,
    at: number,
    shares: readonly number[],
  ): number[] {
    const counts = slots.slice(at, at + this.#upper.length);
    // A count that went back, as of a series that began again, is no observation.
    for (let i = 0; i < counts.length; i++) {
      counts[i] = Math.max(0, counts[i]! - (before[at + i] ?? 0));
    }
    return shares.map((q) => bucketQuantile(q, counts, this.#upper, this.#lowest, this.#geometric));
  }
}
