// Histograms: one store for the bucket and one for the sum. The count is the sum of the buckets, so it needs no store.

import {
  type LogLinearShape,
  logLinearShape,
  type MetricDefinition,
  millisecondsPer,
} from "../layout/index.ts";
import { Cell } from "./cells.ts";

// A double's upper word holds its exponent and leading bits: shifted, it is the bucket.
const scratchF64 = new Float64Array(1);
const scratchI32 = new Int32Array(scratchF64.buffer);

/** What both kinds of histogram offer. */
export abstract class Histogram extends Cell {
  /** @throws TypeError for what is not a finite number */
  abstract observe(value: number): void;

  /** How many values this thread has observed. */
  abstract get count(): number;

  /** The sum of the values that this thread has observed. */
  abstract get sum(): number;

  /**
   * @internal
   * @param unitMs how many milliseconds the metric's unit is
   */
  constructor(
    values: Float64Array,
    at: number,
    readonly unitMs = 1000,
  ) {
    super(values, at);
  }

  /**
   * Starts a stopwatch; the function it returns observes the time since then, and gives it: in the metric's unit where
   * that is one of time, else in seconds.
   */
  startTimer(): () => number {
    const start = performance.now();
    return () => {
      const time = (performance.now() - start) / this.unitMs;
      this.observe(time);
      return time;
    };
  }

  protected total(slots: number): number {
    let count = 0;
    for (let i = 0; i < slots; i++) count += this.values[this.at + i]!;
    return count;
  }
}

/** Buckets by the leading bits of the value; see LogLinearShape. */
class LogLinearHistogram extends Histogram {
  readonly #shift: number;
  readonly #base: number;
  /** Index of the overflow bucket; the sum follows it. */
  readonly #top: number;

  /** @internal */
  constructor(values: Float64Array, at: number, shape: LogLinearShape, unitMs?: number) {
    super(values, at, unitMs);
    this.#shift = shape.shift;
    this.#base = shape.base - 1;
    this.#top = shape.buckets + 1;
  }

  override observe(value: number): void {
    if (value - value !== 0 || typeof value !== "number") refuse(value);
    scratchF64[0] = value;
    const top = this.#top;
    let bucket = (scratchI32[1]! >> this.#shift) - this.#base;
    if (bucket < 0) bucket = 0;
    else if (bucket > top) bucket = top;
    const { values, at } = this;
    values[at + bucket]! += 1;
    values[at + top + 1]! += value;
  }

  override get count(): number {
    return this.total(this.#top + 1);
  }

  override get sum(): number {
    return this.values[this.at + this.#top + 1]!;
  }
}

/** Buckets by bounds that were given, as Prometheus's: a value falls in the first whose bound is not below it. */
class BoundedHistogram extends Histogram {
  readonly #bounds: Float64Array;

  /** @internal */
  constructor(values: Float64Array, at: number, bounds: Float64Array, unitMs?: number) {
    super(values, at, unitMs);
    this.#bounds = bounds;
  }

  override observe(value: number): void {
    if (value - value !== 0 || typeof value !== "number") refuse(value);
    const bounds = this.#bounds;
    const count = bounds.length;
    let bucket = 0;
    if (count <= 16) {
      while (bucket < count && bounds[bucket]! < value) bucket++;
    } else {
      let high = count;
      while (bucket < high) {
        const middle = (bucket + high) >>> 1;
        if (bounds[middle]! < value) bucket = middle + 1;
        else high = middle;
      }
    }
    const { values, at } = this;
    values[at + bucket]! += 1;
    values[at + count + 1]! += value;
  }

  override get count(): number {
    return this.total(this.#bounds.length + 1);
  }

  override get sum(): number {
    return this.values[this.at + this.#bounds.length + 1]!;
  }
}

/** Makes the histograms of one metric; what they share is worked out once. */
export function histogramFactory(
  metric: MetricDefinition,
): (values: Float64Array, at: number) => Histogram {
  const unitMs = millisecondsPer(metric.unit);
  if (metric.kind === "loglinear") {
    const shape = logLinearShape(metric.logLinear);
    return (values, at) => new LogLinearHistogram(values, at, shape, unitMs);
  }
  const bounds = new Float64Array(metric.bounds);
  return (values, at) => new BoundedHistogram(values, at, bounds, unitMs);
}

function refuse(value: unknown): never {
  throw new TypeError(`a histogram observes a finite number, got ${String(value)}`);
}
