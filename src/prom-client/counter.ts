// Counters: what goes up.

import { format } from "node:util";
import { Counter as CounterHandle } from "../client/index.ts";
import { Exemplar } from "./exemplar.ts";
import {
  checkLabels,
  type Given,
  isObject,
  type Labels,
  labelsByName,
  labelsGiven,
} from "./labels.ts";
import { GONE, Metric, type MetricConfiguration, type SharedChild } from "./metric.ts";
import type { MetricData, Sample } from "./registry-text.ts";
import type { Shape } from "./sharing.ts";

interface CounterChild extends SharedChild<CounterHandle> {
  exemplar: Exemplar | undefined;
}

/** What `inc` takes of a counter with exemplars. */
interface IncrementWithExemplar {
  labels?: Labels;
  value?: number;
  exemplarLabels?: Labels;
}

export class Counter extends Metric<CounterChild, CounterHandle> {
  readonly type = "counter";

  constructor(config: MetricConfiguration) {
    super(config);
    this.share(shapeOf(this.name, this.help, this.labelNames));
    this.reset();
    if (this.enableExemplars) this.inc = this.#incWithExemplar as never;
  }

  /**
   * Adds to the counter: `inc()`, `inc(value)`, `inc(labels)`, `inc(labels, value)`.
   * @throws TypeError for what is no number, Error for what would make it go down, or for unknown labels
   */
  inc(labels?: unknown, value?: unknown): void {
    if (isObject(labels)) {
      const child = this.children.find(labels as Labels);
      const amount = value === undefined ? 1 : amountOf(value);
      add(child ?? this.#make(labels as Labels), amount);
    } else {
      const amount = labels === undefined ? 1 : amountOf(labels);
      add(this.children.plain ?? this.#make({}), amount);
    }
  }

  /** The child for label values; it looks nothing up once it has counted. */
  labels(...values: unknown[]) {
    const given = labelsGiven(this.labelNames, values) ?? {};
    if (this.enableExemplars) {
      const labels = labelsByName(this.labelNames, given);
      return { inc: (value?: unknown) => this.inc(labels, value) };
    }
    let child: CounterChild = GONE;
    return {
      inc: (value?: unknown): void => {
        if (child.handle === undefined) child = this.#incGiven(given, value);
        else add(child, value === undefined ? 1 : amountOf(value));
      },
    };
  }

  override remove(...values: unknown[]): void {
    const labels = labelsByName(this.labelNames, labelsGiven(this.labelNames, values) ?? {});
    checkLabels(this.labelNames, labels);
    this.drop(labels);
  }

  reset(): void {
    this.dropAll();
    if (this.labelNames.length === 0) this.#make({});
  }

  async get(): Promise<MetricData> {
    await this.collected();
    const values: Sample[] = [];
    for (const { labels, handle, exemplar } of this.children) {
      const { value } = handle!;
      values.push(exemplar === undefined ? { value, labels } : { value, labels, exemplar });
    }
    return this.describe(values);
  }

  #incGiven(given: Given, value: unknown): CounterChild {
    if (!Array.isArray(given)) checkLabels(this.labelNames, given);
    const amount = amountOf(value);
    const known = this.children.findGiven(given);
    return add(known ?? this.#make(labelsByName(this.labelNames, given)), amount);
  }

  #incWithExemplar(given: IncrementWithExemplar = {}): void {
    const { labels = {}, value = 1, exemplarLabels } = given;
    const isLabelled = isObject(labels);
    const known = isLabelled ? this.children.find(labels) : this.children.plain;
    const amount = amountOf(isLabelled ? value : labels);
    const child = add(known ?? this.#make(isLabelled ? labels : {}), amount);
    if (exemplarLabels === undefined) return;
    const exemplar = child.exemplar ?? new Exemplar();
    exemplar.set(exemplarLabels, value || 1);
    child.exemplar = exemplar;
  }

  #make(labels: Labels): CounterChild {
    return this.adopt({ labels, handle: undefined, exemplar: undefined });
  }
}

function add(child: CounterChild, amount: number): CounterChild {
  const handle = child.handle!;
  handle.values[handle.at]! += amount;
  return child;
}

/** How much is added; 1 when nothing is said. */
function amountOf(value: unknown): number {
  if (typeof value === "number" && value >= 0 && value <= Number.MAX_VALUE) return value;
  if (value && !Number.isFinite(value)) {
    throw new TypeError(`Value is not a valid number: ${format(value)}`);
  }
  if ((value as number) < 0) throw new Error("It is not possible to decrease a counter");
  return (value ?? 1) as number;
}

function shapeOf(name: string, help: string, labelNames: readonly string[]): Shape<CounterHandle> {
  return {
    name,
    labelNames,
    declare: (client) => client.counter(name, { help, labels: labelNames }),
    alone: (from) => new CounterHandle(Float64Array.of(from?.value ?? 0), 0),
    clear: (handle) => {
      handle.values[handle.at] = 0;
    },
  };
}
