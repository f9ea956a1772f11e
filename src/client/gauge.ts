// Gauges: a value that is set. How those of several writers combine decides which class is made.

import type { Combine } from "../layout/index.ts";
import { Cell } from "./cells.ts";

// `value === value` is the cheapest test for NaN, and stands in the way of every store.

/** A gauge whose writers add up; it starts at 0. */
export class Gauge extends Cell {
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

  /** @throws TypeError for what is not a number */
  set(value: number): void {
    if (value === value && typeof value === "number") this.values[this.at] = value;
    else refuse(value);
  }

  inc(n = 1): void {
    if (n === n && typeof n === "number") this.values[this.at]! += n;
    else refuse(n);
  }

  dec(n = 1): void {
    if (n === n && typeof n === "number") this.values[this.at]! -= n;
    else refuse(n);
  }

  /** Sets the unix time: in the metric's unit where that is one of time, else in seconds. */
  setToCurrentTime(): void {
    this.set(Date.now() / this.unitMs);
  }

  /** Starts a stopwatch; the function it returns sets the time since then, and gives it, in the same unit. */
  startTimer(): () => number {
    const start = performance.now();
    return () => {
      const time = (performance.now() - start) / this.unitMs;
      this.set(time);
      return time;
    };
  }

  /** What this thread has set; NaN when it has not. */
  get value(): number {
    return this.values[this.at]!;
  }
}

/** A gauge of which the mean, least or greatest counts: it takes no part until it is set. */
class UnsetGauge extends Gauge {
  override inc(n = 1): void {
    if (typeof n !== "number") refuse(n);
    const value = this.values[this.at]!;
    this.set((value === value ? value : 0) + n);
  }

  override dec(n = 1): void {
    if (typeof n !== "number") refuse(n);
    this.inc(-n);
  }
}

/** A gauge of which the newest value counts: it also stores when it was set, which costs a look at the clock. */
class LastGauge extends UnsetGauge {
  override set(value: number): void {
    super.set(value);
    this.values[this.at + 1] = Date.now();
  }
}

/** The class for a way to combine. */
export function gaugeClass(combine: Combine): typeof Gauge {
  if (combine === "sum") return Gauge;
  return combine === "last" ? LastGauge : UnsetGauge;
}

function refuse(value: unknown): never {
  throw new TypeError(`a gauge takes a number, got ${String(value)}`);
}
