// What all kinds of metric have in common: configuration, registration, children, and what `get()` tells.

import { type Child, Children } from "./children.ts";
import { collectAtIntervals } from "./collecting.ts";
import {
  checkLabels,
  isObject,
  type Labels,
  labelsByName,
  labelsGiven,
  NO_LABELS,
} from "./labels.ts";
import { globalRegistry, PROMETHEUS_CONTENT_TYPE, type Registry } from "./registry.ts";
import type { MetricData, Sample } from "./registry-text.ts";
import { type Handle, type Holder, type Shape, Share } from "./sharing.ts";
import { areLabelNames, validateMetricName } from "./validation.ts";

export interface MetricConfiguration {
  name: string;
  help: string;
  labelNames?: readonly string[];
  registers?: readonly Registry[];
  aggregator?: string;
  collect?: () => void | Promise<void>;
  enableExemplars?: boolean;
}

/** A child whose values may be in shared memory. */
export type SharedChild<H extends Handle> = Child<H> & Holder<H>;

/** What a caller keeps who has not asked for a child yet, or whose child is gone. */
export const GONE = Object.freeze({ labels: NO_LABELS, handle: undefined }) as never;

export abstract class Metric<C extends SharedChild<H>, H extends Handle> {
  declare name: string;
  declare help: string;
  declare labelNames: readonly string[];
  declare registers: readonly Registry[];
  declare aggregator: string;
  declare enableExemplars: boolean;
  /** Called before values are told, to bring them up to date. */
  declare collect?: () => void | Promise<void>;
  abstract readonly type: string;
  protected readonly children: Children<C>;
  #share: Share<H> | undefined;

  /** @throws Error, with prom-client's words, for what is missing or wrong */
  constructor(config: MetricConfiguration, defaults: object = {}) {
    if (!isObject(config)) throw new TypeError("constructor expected a config object");
    const registers = [globalRegistry];
    Object.assign(
      this,
      { labelNames: [], registers, aggregator: "sum", enableExemplars: false },
      defaults,
      config,
    );
    // In case they are given as undefined.
    this.registers ||= registers;
    if (!this.help) throw new Error("Missing mandatory help parameter");
    if (!this.name) throw new Error("Missing mandatory name parameter");
    if (!validateMetricName(this.name)) throw new Error("Invalid metric name");
    if (!areLabelNames(this.labelNames)) throw new Error("Invalid label name");
    if (this.collect && typeof this.collect !== "function") {
      throw new Error('Optional "collect" parameter must be a function');
    }
    this.children = new Children(this.labelNames);
    for (const register of this.registers) {
      if (this.enableExemplars && register.contentType === PROMETHEUS_CONTENT_TYPE) {
        throw new TypeError("Exemplars are supported only on OpenMetrics registries");
      }
      register.registerMetric(this as never);
    }
  }

  /** Forgets what was counted. */
  abstract reset(): void;

  /** All values, and what the metric is. */
  abstract get(): Promise<MetricData>;

  /** Removes the child for label values. */
  remove(...given: unknown[]): void {
    this.drop(this.checked(given));
  }

  /** To be called when the metric is registered: from now on its children get places in shared memory. */
  protected share(shape: Shape<H>): void {
    this.#share = new Share(this, isRegistered, shape);
    collectAtIntervals(this as never);
  }

  /** Gives a new child its handle, and a place among the others. */
  protected adopt<New extends C>(child: New): New & { handle: H } {
    child.handle = this.#share!.take(child.labels, child);
    this.children.add(child);
    return child as New & { handle: H };
  }

  protected drop(labels: Labels): void {
    const handle = this.children.delete(labels);
    if (handle !== undefined) this.#share!.give(handle);
  }

  protected dropAll(): void {
    for (const { handle } of this.children) this.#share!.give(handle!);
    this.children.clear();
  }

  /** Labels as `labels(…)` takes them. @throws Error for a wrong number of values, or an unknown label */
  protected checked(given: readonly unknown[]): Labels {
    const labels = labelsByName(this.labelNames, labelsGiven(this.labelNames, given));
    checkLabels(this.labelNames, labels);
    return labels;
  }

  protected async collected(): Promise<void> {
    if (!this.collect) return;
    const pending = this.collect();
    if (pending instanceof Promise) await pending;
  }

  protected describe(values: Sample[]): MetricData {
    const { help, name, type, aggregator } = this;
    return { help, name, type, values, aggregator };
  }
}

/** Whether a metric is in one of its registries still. One that was taken out may be followed by another of its name. */
function isRegistered(metric: object): boolean {
  const { registers } = metric as { registers: readonly Registry[] };
  // What takes registrations and is no registry of ours may not tell.
  return registers.some((register) => register.getMetricsAsArray?.().includes(metric as never));
}
