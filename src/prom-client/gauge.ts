// Gauges: what is set, and goes up and down.

import { format } from "node:util";
import { Gauge as GaugeHandle } from "../client/index.ts";
import type { Combine } from "../layout/index.ts";
import { initialValue } from "../layout/index.ts";
import type { MetricData } from "./exposition.ts";
import {
  checkLabels,
  checkLabelsOf,
  isObject,
  type Labels,
  labelsFrom,
  NO_LABELS,
} from "./labels.ts";
import { Metric, type MetricConfiguration, type SharedChild } from "./metric.ts";
import type { Shape } from "./sharing.ts";
import { stopwatch } from "./stopwatch.ts";

type GaugeChild = SharedChild<GaugeHandle>;

/** How a gauge's writers become one for who reads the pool. Of what stands for itself the newest is shown. */
const COMBINES: Readonly<Record<string, Combine>> = {
  sum: "sum",
  average: "mean",
  min: "min",
  max: "max",
  first: "last",
  omit: "last",
};

export class Gauge extends Metric<GaugeChild, GaugeHandle> {
  readonly type = "gauge";

  constructor(config: MetricConfiguration) {
    super(config);
    this.share(shapeOf(this.name, this.help, this.labelNames, COMBINES[this.aggregator] ?? "sum"));
    this.reset();
  }

  /** `set(value)`, `set(labels, value)`. @throws TypeError for what is no number, Error for unknown labels */
  set(labels: unknown, value?: unknown): void {
    const isLabelled = isObject(labels);
    this.#set(isLabelled ? (labels as Labels) : NO_LABELS, isLabelled ? value : labels);
  }

  inc(labels?: unknown, value?: unknown): void {
    const isLabelled = isObject(labels);
    const delta = isLabelled ? value : labels;
    this.#change(isLabelled ? (labels as Labels) : NO_LABELS, delta === undefined ? 1 : delta);
  }

  dec(labels?: unknown, value?: unknown): void {
    const isLabelled = isObject(labels);
    const delta = isLabelled ? value : labels;
    // As prom-client: what can be negated is taken for a number here.
    this.#change(
      isLabelled ? (labels as Labels) : NO_LABELS,
      delta === undefined ? -1 : -(delta as number),
    );
  }

  /** Sets the unix time in seconds. */
  setToCurrentTime(labels?: unknown): void {
    const now = Date.now() / 1000;
    if (labels === undefined) this.set(now);
    else this.set(labels, now);
  }

  /** Starts a stopwatch; the function that it returns sets the seconds since then, and gives them. */
  startTimer(labels?: Labels): (endLabels?: Labels) => number {
    return stopwatch((seconds, endLabels) => this.set({ ...labels, ...endLabels }, seconds));
  }

  /** The child for label values; it looks nothing up once it has a value. */
  labels(...given: unknown[]) {
    const labels = labelsFrom(this.labelNames, given);
    checkLabels(this.labelNames, labels);
    // labels(null) is a child that refuses everything, in prom-client's words.
    if (labels === null) return this.#unlabelled();
    const own = given[0] === labels ? { ...labels } : labels;
    let child: GaugeChild | undefined;
    const living = (): GaugeChild | undefined => {
      if (child?.live !== true) child = this.children.find(own);
      return child;
    };
    const set = (value: unknown): void => {
      if (typeof value !== "number") refuseValue(value);
      const known = living();
      if (known === undefined) {
        child = this.#make(own, value);
      } else {
        known.labels = own;
        store(known.handle, value);
      }
    };
    const change = (delta: unknown): void => {
      if (typeof delta !== "number") refuseDelta(delta);
      const known = living();
      if (known === undefined) child = this.#make(own, delta);
      else store(known.handle, known.handle.value + delta);
    };
    return {
      set,
      inc: (value?: unknown) => change(value === undefined ? 1 : value),
      dec: (value?: unknown) => change(value === undefined ? -1 : -(value as number)),
      setToCurrentTime: () => set(Date.now() / 1000),
      startTimer: () => this.startTimer(own),
    };
  }

  reset(): void {
    this.dropAll();
    if (this.labelNames.length === 0) this.#make({}, 0);
  }

  async get(): Promise<MetricData> {
    await this.collected();
    return this.describe(
      Array.from(this.children, ({ labels, handle }) => ({ value: handle.value, labels })),
    );
  }

  #set(labels: Labels, value: unknown): void {
    if (typeof value !== "number") refuseValue(value);
    if (labels !== NO_LABELS) checkLabelsOf(this.labelNames, labels);
    const child = this.children.find(labels);
    if (child === undefined) {
      this.#make(labels === NO_LABELS ? {} : labels, value);
      return;
    }
    // The labels are shown as they were given last.
    if (labels !== NO_LABELS) child.labels = labels;
    store(child.handle, value);
  }

  #change(labels: Labels, delta: unknown): void {
    if (typeof delta !== "number") refuseDelta(delta);
    if (labels !== NO_LABELS) checkLabelsOf(this.labelNames, labels);
    const child = this.children.find(labels);
    if (child === undefined) this.#make(labels === NO_LABELS ? {} : labels, delta);
    else store(child.handle, child.handle.value + delta);
  }

  #make(labels: Labels, value: number): GaugeChild {
    const child = { labels, live: true } as GaugeChild;
    child.handle = this.place(labels, child);
    store(child.handle, value);
    this.children.add(labels, child);
    return child;
  }

  #unlabelled() {
    return {
      set: () => this.set(null),
      inc: () => this.inc(null),
      dec: () => this.dec(null),
      setToCurrentTime: () => this.setToCurrentTime(null),
      startTimer: () => this.startTimer(),
    };
  }
}

/** NaN too, which is a value for prom-client; who reads the pool takes it for none. */
function store(handle: GaugeHandle, value: number): void {
  if (value === value) handle.set(value);
  else handle.values[handle.at] = value;
}

function refuseValue(value: unknown): never {
  throw new TypeError(`Value is not a valid number: ${format(value)}`);
}

function refuseDelta(delta: unknown): never {
  throw new TypeError(`Delta is not a valid number: ${format(delta)}`);
}

function shapeOf(
  name: string,
  help: string,
  labelNames: readonly string[],
  combine: Combine,
): Shape<GaugeHandle> {
  const absent = initialValue({ kind: "gauge", combine });
  return {
    name,
    labelNames,
    declare: (client) => client.gauge(name, { help, combine, labels: labelNames }),
    alone: (from) => new GaugeHandle(Float64Array.of(from?.value ?? 0), 0),
    clear: (handle) => {
      handle.values[handle.at] = absent;
    },
  };
}
