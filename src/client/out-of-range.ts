// Looks now and then whether log-linear histograms have observed what is out of their range, and says so once for each.
// The first and the last bucket tell it, so that `observe` has nothing to do with it.

import type { MetricDefinition } from "../layout/index.ts";
import type { ApiError } from "../rest/index.ts";
import type { Series } from "./cells.ts";

/** Series that are looked at in one go; the others at the next looks. */
const LOOKS_MAX = 1000;

export class OutOfRange {
  #series: Series[] = [];
  #next = 0;
  readonly #told = new Set<string>();

  /** @param tell receives one warning for each metric */
  constructor(readonly tell: (warning: ApiError) => void) {}

  add(series: Series): void {
    if (series.metric.kind === "loglinear") this.#series.push(series);
  }

  look(): void {
    const series = this.#series;
    let isOver = false;
    for (let i = Math.min(LOOKS_MAX, series.length); i > 0; i--) {
      this.#next %= series.length;
      const each = series[this.#next++]!;
      if (each.gone || this.#told.has(each.metric.name)) isOver = true;
      else if (this.#see(each)) isOver = true;
    }
    if (!isOver) return;
    this.#series = series.filter(({ gone, metric }) => !gone && !this.#told.has(metric.name));
    this.#next = 0;
  }

  /** @returns whether something was out of range */
  #see({ metric, cell: { values, at }, slots }: Series): boolean {
    const above = values[at + slots - 2]!;
    const isAbove = above > 0;
    if (!isAbove && !isAllBelow(values, at, slots)) return false;
    this.#told.add(metric.name);
    this.tell(isAbove ? aboveRange(metric, above) : belowRange(metric, values[at + slots - 1]!));
    return true;
  }
}

/** Zeros lie below the range too, and are nothing to warn of: then there is no sum. */
function isAllBelow(values: Float64Array, at: number, slots: number): boolean {
  const sum = values[at + slots - 1]!;
  if (!(values[at]! > 0) || sum === 0) return false;
  for (let i = at + 1; i < at + slots - 1; i++) if (values[i]! > 0) return false;
  return true;
}

function aboveRange({ name, unit, logLinear }: MetricDefinition, count: number): ApiError {
  const { max } = logLinear!;
  return {
    code: "out-of-range",
    message: `the histogram ${name} has observed ${count} value${count === 1 ? "" : "s"} above its range, which ends at ${inUnit(max, unit)}: count and sum have them, quantiles show them as its end`,
    hint: `declare it with a greater max${unit === "" ? ', or with its unit, as { unit: "milliseconds" }' : ""}`,
  };
}

function belowRange({ name, unit, logLinear }: MetricDefinition, sum: number): ApiError {
  const { min } = logLinear!;
  return {
    code: "out-of-range",
    message: `the histogram ${name} has observed only values below its range, which begins at ${inUnit(min, unit)}: quantiles show them as that`,
    hint:
      sum < 0
        ? "give it buckets: without them a histogram has no room for negative values"
        : `declare it with a smaller min${unit === "" ? ", or with its unit" : ""}`,
  };
}

function inUnit(value: number, unit: string): string {
  return `${value} ${unit === "" ? "seconds (no unit was given)" : unit}`;
}
