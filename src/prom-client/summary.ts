// Summaries: quantiles of what was observed, over all time or a sliding window.
//
// Quantiles of several processes cannot be put together again, so they stay in this one. What is shared is a log-linear
// histogram under the summary's name: who reads the pool has count, sum and any quantile over all processes.

import { format } from "node:util";
import { Histogram as HistogramHandle } from "../client/index.ts";
import { ANY_RANGE, logLinearShape } from "../layout/index.ts";
import { checkLabels, isObject, type Labels, labelsByName, labelsGiven } from "./labels.ts";
import { GONE, Metric, type MetricConfiguration, type SharedChild } from "./metric.ts";
import type { MetricData, Sample } from "./registry-text.ts";
import type { Shape } from "./sharing.ts";
import { stopwatch } from "./stopwatch.ts";
import { TimeWindow } from "./time-window.ts";

/** A summary does not say what it measures: microseconds to terabytes, in 1.9 KB per child. */
const SHARED_AS = ANY_RANGE;
/** Underflow and overflow, and the sum. */
const SHARED_SLOTS = logLinearShape(SHARED_AS).buckets + 3;

export interface SummaryConfiguration extends MetricConfiguration {
  percentiles?: readonly number[];
  maxAgeSeconds?: number;
  ageBuckets?: number;
  pruneAgedBuckets?: boolean;
  compressCount?: number;
}

interface SummaryChild extends SharedChild<HistogramHandle> {
  window: TimeWindow;
  count: number;
  sum: number;
}

export class Summary extends Metric<SummaryChild, HistogramHandle> {
  readonly type = "summary";
  declare percentiles: readonly number[];
  declare maxAgeSeconds?: number;
  declare ageBuckets?: number;
  declare pruneAgedBuckets?: boolean;
  /** Taken for compatibility: the digest compresses itself when it has to. */
  declare compressCount: number;

  constructor(config: SummaryConfiguration) {
    super(config, { percentiles: [0.01, 0.05, 0.5, 0.9, 0.95, 0.99, 0.999], compressCount: 1000 });
    if (this.labelNames.includes("quantile")) {
      throw new Error("quantile is a reserved label keyword");
    }
    this.share(shapeOf(this.name, this.help, this.labelNames));
    if (this.labelNames.length === 0) this.#make({});
  }

  /** `observe(value)`, `observe(labels, value)`. @throws TypeError for what is no number, Error for unknown labels */
  observe(labels: unknown, value?: unknown): void {
    if (typeof labels === "number" && labels - labels === 0 && value === undefined) {
      count(this.children.plain ?? this.#make({}), labels);
    } else if (isObject(labels) && value !== undefined) {
      const known = this.children.find(labels as Labels);
      if (typeof value !== "number" || value - value !== 0) refuse(value);
      count(known ?? this.#make(labels as Labels), value);
    } else {
      // As prom-client: of what counts as false only 0 is a value, and without a value the labels are taken for it.
      const first = labels === 0 ? 0 : labels || {};
      checkLabels(this.labelNames, first);
      const given = value === undefined ? first : value;
      if (typeof given !== "number" || given - given !== 0) refuse(given);
      count(this.children.plain ?? this.#make({}), given);
    }
  }

  /** Starts a stopwatch; the function that it returns observes the seconds since then, and gives them. */
  startTimer(labels?: Labels): (endLabels?: Labels) => number {
    return stopwatch((seconds, endLabels) => this.observe({ ...labels, ...endLabels }, seconds));
  }

  /** The child for label values; it looks nothing up once it has observed. */
  labels(...values: unknown[]) {
    const given = labelsGiven(this.labelNames, values);
    if (!Array.isArray(given)) checkLabels(this.labelNames, given);
    let child: SummaryChild = GONE;
    return {
      observe: (value?: unknown): void => {
        if (typeof value !== "number" || value - value !== 0) {
          // As prom-client: without a value the labels are taken for it.
          refuse(value === undefined ? labelsByName(this.labelNames, given) : value);
        }
        if (child.handle === undefined) {
          const known = this.children.findGiven(given);
          child = known ?? this.#make(labelsByName(this.labelNames, given));
        }
        count(child, value);
      },
      startTimer: () => this.startTimer(labelsByName(this.labelNames, given)),
    };
  }

  reset(): void {
    for (const child of this.children) {
      child.window.reset();
      child.count = 0;
      child.sum = 0;
      clear(child.handle!);
    }
  }

  async get(): Promise<MetricData> {
    await this.collected();
    const values: Sample[] = [];
    for (const child of [...this.children]) {
      const { labels, window, sum } = child;
      if (this.pruneAgedBuckets && window.size() === 0) {
        this.drop(labels);
        continue;
      }
      for (const quantile of this.percentiles) {
        values.push({ labels: { quantile, ...labels }, value: window.percentile(quantile) || 0 });
      }
      values.push(
        { metricName: `${this.name}_sum`, labels, value: sum },
        { metricName: `${this.name}_count`, labels, value: child.count },
      );
    }
    const { name, help, type, aggregator } = this;
    return { name, help, type, values, aggregator };
  }

  #make(labels: Labels): SummaryChild {
    const window = new TimeWindow(this.maxAgeSeconds, this.ageBuckets);
    return this.adopt({ labels, handle: undefined, window, count: 0, sum: 0 });
  }
}

function count(child: SummaryChild, value: number): void {
  child.window.push(value);
  child.count++;
  child.sum += value;
  child.handle!.observe(value);
}

function refuse(value: unknown): never {
  throw new TypeError(`Value is not a valid number: ${format(value)}`);
}

/** What a summary shares when it cannot: its own count and sum are with its quantiles. */
class Nothing extends HistogramHandle {
  override readonly count = 0;
  override readonly sum = 0;

  override observe(): void {}
}

const NOTHING = new Nothing(new Float64Array(), 0);

function clear(handle: HistogramHandle): void {
  if (handle !== NOTHING) handle.values.fill(0, handle.at, handle.at + SHARED_SLOTS);
}

function shapeOf(
  name: string,
  help: string,
  labelNames: readonly string[],
): Shape<HistogramHandle> {
  return {
    name,
    labelNames,
    declare: (client) => client.histogram(name, { help, ...SHARED_AS, labels: labelNames }),
    alone: () => NOTHING,
    clear,
  };
}
