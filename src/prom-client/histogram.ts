// Histograms: observations counted by upper bounds.

import { format } from "node:util";
import type { Histogram as HistogramHandle } from "../client/index.ts";
import { DEFAULT_BOUNDS } from "../layout/index.ts";
import { Exemplar } from "./exemplar.ts";
import { checkLabels, isObject, type Labels, labelsByName, labelsGiven } from "./labels.ts";
import { LooseHistogram } from "./loose-histogram.ts";
import { GONE, Metric, type MetricConfiguration, type SharedChild } from "./metric.ts";
import type { MetricData, Sample } from "./registry-text.ts";
import type { Shape } from "./sharing.ts";
import { stopwatch } from "./stopwatch.ts";

export interface HistogramConfiguration extends MetricConfiguration {
  buckets?: readonly number[];
}

interface HistogramChild extends SharedChild<HistogramHandle> {
  /** By the index of the bucket; only of a histogram with exemplars. */
  exemplars: Exemplar[] | undefined;
}

/** What `observe` takes of a histogram with exemplars. */
interface ObservationWithExemplar {
  labels?: Labels;
  value?: number;
  exemplarLabels?: Labels;
}

export class Histogram extends Metric<HistogramChild, HistogramHandle> {
  readonly type = "histogram";
  declare buckets: readonly number[];
  readonly upperBounds: readonly number[];

  constructor(config: HistogramConfiguration) {
    super(config, { buckets: [...DEFAULT_BOUNDS] });
    if (this.labelNames.includes("le")) throw new Error("le is a reserved label keyword");
    this.upperBounds = this.buckets;
    Object.freeze(this.upperBounds);
    this.share(shapeOf(this.name, this.help, this.labelNames, this.upperBounds));
    if (this.labelNames.length === 0) this.#make({});
    if (this.enableExemplars) this.observe = this.#observeWithExemplar as never;
  }

  /** `observe(value)`, `observe(labels, value)`. @throws TypeError for what is no number, Error for unknown labels */
  observe(labels: unknown, value?: unknown): void {
    const { plain } = this.children;
    if (typeof labels === "number" && labels - labels === 0 && plain !== undefined) {
      plain.handle!.observe(labels);
    } else {
      this.#observe(labels, value);
    }
  }

  /**
   * Starts a stopwatch; the function that it returns observes the seconds since then, and gives them.
   * @param exemplarLabels only of a histogram with exemplars
   */
  startTimer(
    labels?: Labels,
    exemplarLabels?: Labels,
  ): (endLabels?: Labels, endExemplarLabels?: Labels) => number {
    if (!this.enableExemplars) return this.#timer(labels);
    return stopwatch((value, endLabels, endExemplarLabels) =>
      this.observe({
        labels: { ...labels, ...endLabels },
        value,
        exemplarLabels: { ...exemplarLabels, ...endExemplarLabels },
      }),
    );
  }

  /** Makes a child with no observations, or makes it one again. */
  zero(labels: Labels): void {
    const child = this.children.findUnchecked(labels);
    if (child === undefined) {
      this.#make(labels);
      return;
    }
    child.labels = labels;
    child.exemplars = undefined;
    clear(child.handle!, this.upperBounds.length);
  }

  /** The child for label values; it looks nothing up once it has observed. */
  labels(...values: unknown[]) {
    const given = labelsGiven(this.labelNames, values);
    if (!Array.isArray(given)) checkLabels(this.labelNames, given);
    let child: HistogramChild = GONE;
    return {
      observe: (value?: unknown): void => {
        if (given === null) refuse(null);
        if (typeof value !== "number" || value - value !== 0) refuse(value);
        if (child.handle === undefined) {
          const known = this.children.findGiven(given);
          child = known ?? this.#make(labelsByName(this.labelNames, given));
        }
        child.handle!.observe(value);
      },
      startTimer: () => this.#timer(labelsByName(this.labelNames, given)),
    };
  }

  reset(): void {
    this.dropAll();
  }

  async get(): Promise<MetricData> {
    const data = await this.getForPromString();
    const values = data.values!.map(({ sharedLabels, labels, ...sample }) => ({
      ...sample,
      labels: { ...labels, ...sharedLabels },
    }));
    return { ...data, values };
  }

  /** As {@link Histogram.get}, with the labels of a child apart from the bounds. */
  async getForPromString(): Promise<MetricData> {
    await this.collected();
    const bounds = this.upperBounds;
    const bucketName = `${this.name}_bucket`;
    const sumName = `${this.name}_sum`;
    const countName = `${this.name}_count`;
    const values: Sample[] = [];
    for (const { labels: sharedLabels, handle, exemplars } of this.children) {
      const counts = countsOf(handle!, bounds);
      let below = 0;
      for (let i = 0; i < bounds.length; i++) {
        below += counts[i]!;
        const labels = { le: bounds[i] };
        const exemplar = exemplars?.[i] ?? null;
        values.push({ labels, sharedLabels, value: below, metricName: bucketName, exemplar });
      }
      const { count, sum } = handle!;
      const beyond = this.enableExemplars ? exemplars?.[bounds.length] : null;
      values.push(
        {
          labels: { le: "+Inf" },
          sharedLabels,
          value: count,
          metricName: bucketName,
          exemplar: beyond,
        },
        { labels: {}, sharedLabels, value: sum, metricName: sumName, exemplar: undefined },
        { labels: {}, sharedLabels, value: count, metricName: countName, exemplar: undefined },
      );
    }
    const { name, help, type, aggregator } = this;
    return { name, help, type, values, aggregator };
  }

  #observe(labels: unknown, value: unknown): void {
    if (isObject(labels)) {
      const known = this.children.find(labels as Labels);
      if (typeof value !== "number" || value - value !== 0) refuse(value);
      (known ?? this.#make(labels as Labels)).handle!.observe(value);
    } else {
      // As prom-client: what counts as false stands for no labels, but 0 for a value.
      const given = labels || labels === 0 ? labels : value;
      if (typeof given !== "number" || given - given !== 0) refuse(given);
      (this.children.plain ?? this.#make({})).handle!.observe(given);
    }
  }

  #observeWithExemplar(given: ObservationWithExemplar = {}): void {
    const { labels = {}, value, exemplarLabels = {} } = given;
    Histogram.prototype.observe.call(this, labels, value);
    if (Object.keys(exemplarLabels).length === 0) return;
    const bound = this.upperBounds.findIndex((upper) => value! <= upper);
    const bucket = bound < 0 ? this.upperBounds.length : bound;
    const child = isObject(labels) ? this.children.find(labels)! : this.children.plain!;
    child.exemplars ??= [];
    const exemplar = child.exemplars[bucket] ?? new Exemplar();
    exemplar.set(exemplarLabels, value!);
    child.exemplars[bucket] = exemplar;
  }

  #timer(labels: Labels | undefined): (endLabels?: Labels) => number {
    return stopwatch((seconds, endLabels) => this.observe({ ...labels, ...endLabels }, seconds));
  }

  #make(labels: Labels): HistogramChild {
    return this.adopt({ labels, handle: undefined, exemplars: undefined });
  }
}

function refuse(value: unknown): never {
  throw new TypeError(`Value is not a valid number: ${format(value)}`);
}

/** Observations per bound and beyond the last. */
function countsOf(handle: HistogramHandle, bounds: readonly number[]): ArrayLike<number> {
  if (handle instanceof LooseHistogram) return handle.counts(bounds);
  return handle.values.subarray(handle.at, handle.at + bounds.length + 1);
}

function clear(handle: HistogramHandle, bounds: number): void {
  if (handle instanceof LooseHistogram) handle.clear();
  else handle.values.fill(0, handle.at, handle.at + bounds + 2);
}

function shapeOf(
  name: string,
  help: string,
  labelNames: readonly string[],
  bounds: readonly number[],
): Shape<HistogramHandle> {
  return {
    name,
    labelNames,
    declare: (client) => client.histogram(name, { help, buckets: bounds, labels: labelNames }),
    alone: (from) => new LooseHistogram(bounds, from && [countsOf(from, bounds), from.sum]),
    clear: (handle) => clear(handle, bounds.length),
  };
}
