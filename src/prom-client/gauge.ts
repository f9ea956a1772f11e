// Gauges: what is set, and goes up and down.

import { format } from "node:util";
import { Gauge as GaugeHandle } from "../client/index.ts";
import { type Combine, initialValue } from "../layout/index.ts";
import { checkLabels, isObject, type Labels, labelsByName, labelsGiven } from "./labels.ts";
import { GONE, Metric, type MetricConfiguration, type SharedChild } from "./metric.ts";
import type { MetricData } from "./registry-text.ts";
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
    const { plain } = this.children;
    if (typeof labels === "number" && plain !== undefined && this.labelNames.length === 0) {
      store(plain, labels);
    } else {
      this.#set(labels, value);
    }
  }

  inc(labels?: unknown, value?: unknown): void {
    const delta = isObject(labels) ? value : labels;
    this.#change(labels, delta === undefined ? 1 : delta);
  }

  dec(labels?: unknown, value?: unknown): void {
    const delta = isObject(labels) ? value : labels;
    // As prom-client: what can be negated is taken for a number here.
    this.#change(labels, delta === undefined ? -1 : -(delta as number));
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
  labels(...values: unknown[]) {
    const given = labelsGiven(this.labelNames, values);
    if (!Array.isArray(given)) checkLabels(this.labelNames, given);
    if (given === null) return this.#refusing();
    let child: GaugeChild = GONE;
    let labels: Labels | undefined;
    const isThere = (): boolean => {
      if (child.handle === undefined) child = this.children.findGiven(given) ?? GONE;
      return child.handle !== undefined;
    };
    const make = (value: number): void => {
      labels ??= labelsByName(this.labelNames, given);
      child = this.#make(labels, value);
    };
    const set = (value: unknown): void => {
      if (typeof value !== "number") refuseValue(value);
      if (isThere()) {
        labels ??= labelsByName(this.labelNames, given);
        if (child.labels !== labels) child.labels = labels;
        store(child, value);
      } else {
        make(value);
      }
    };
    const change = (delta: unknown): void => {
      if (typeof delta !== "number") refuseDelta(delta);
      if (isThere()) store(child, child.handle!.value + delta);
      else make(delta);
    };
    return {
      set,
      inc: (value?: unknown) => change(value === undefined ? 1 : value),
      dec: (value?: unknown) => change(value === undefined ? -1 : -(value as number)),
      setToCurrentTime: () => set(Date.now() / 1000),
      startTimer: () => this.startTimer(labelsByName(this.labelNames, given)),
    };
  }

  reset(): void {
    this.dropAll();
    if (this.labelNames.length === 0) this.#make({}, 0);
  }

  async get(): Promise<MetricData> {
    await this.collected();
    return this.describe(
      Array.from(this.children, ({ labels, handle }) => ({ value: handle!.value, labels })),
    );
  }

  #set(labels: unknown, value: unknown): void {
    const isLabelled = isObject(labels);
    const given = isLabelled ? value : labels;
    if (typeof given !== "number") refuseValue(given);
    const own = isLabelled ? (labels as Labels) : {};
    const child = isLabelled ? this.children.find(own) : this.children.plain;
    if (child === undefined) {
      this.#make(own, given);
      return;
    }
    // They are shown as they were given last.
    child.labels = own;
    store(child, given);
  }

  #change(labels: unknown, delta: unknown): void {
    if (typeof delta !== "number") refuseDelta(delta);
    const isLabelled = isObject(labels);
    const child = isLabelled ? this.children.find(labels as Labels) : this.children.plain;
    if (child === undefined) this.#make(isLabelled ? (labels as Labels) : {}, delta);
    else store(child, child.handle!.value + delta);
  }

  #make(labels: Labels, value: number): GaugeChild {
    const child = this.adopt({ labels, handle: undefined });
    store(child, value);
    return child;
  }

  /** What `labels(null)` gives: prom-client takes the null for the value. */
  #refusing() {
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
function store({ handle }: GaugeChild, value: number): void {
  if (value === value) handle!.set(value);
  else handle!.values[handle!.at] = value;
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
