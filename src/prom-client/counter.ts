// Counters: what goes up.

import { format } from "node:util";
import { Counter as CounterHandle } from "../client/index.ts";
import { Exemplar } from "./exemplar.ts";
import type { MetricData, Sample } from "./exposition.ts";
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
      checkLabelsOf(this.labelNames, labels as Labels);
      this.#add(labels as Labels, amountOf(value));
    } else {
      this.#add(NO_LABELS, amountOf(labels));
    }
  }

  /** The child for label values; it looks nothing up once it has counted. */
  labels(...given: unknown[]) {
    const labels = labelsFrom(this.labelNames, given) || {};
    if (this.enableExemplars) return { inc: (value?: unknown) => this.inc(labels, value) };
    let child: CounterChild | undefined;
    const own = given[0] === labels ? { ...labels } : labels;
    return {
      inc: (value?: unknown): void => {
        if (child?.live !== true) {
          checkLabels(this.labelNames, own);
          const amount = amountOf(value);
          child = this.children.find(own) ?? this.#make(own);
          const { handle } = child;
          handle.values[handle.at]! += amount;
          return;
        }
        const amount = value === undefined ? 1 : amountOf(value);
        const { handle } = child;
        handle.values[handle.at]! += amount;
      },
    };
  }

  override remove(...given: unknown[]): void {
    const labels = labelsFrom(this.labelNames, given) || {};
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
      const value = handle.values[handle.at]!;
      values.push(exemplar === undefined ? { value, labels } : { value, labels, exemplar });
    }
    return this.describe(values);
  }

  #add(labels: Labels, amount: number): CounterChild {
    const child = this.children.find(labels) ?? this.#make(labels === NO_LABELS ? {} : labels);
    const { handle } = child;
    handle.values[handle.at]! += amount;
    return child;
  }

  #make(labels: Labels): CounterChild {
    const child = { labels, live: true, exemplar: undefined } as unknown as CounterChild;
    child.handle = this.place(labels, child);
    this.children.add(labels, child);
    return child;
  }

  #incWithExemplar(given: IncrementWithExemplar = {}): void {
    const { labels = {}, value = 1, exemplarLabels } = given;
    checkLabels(this.labelNames, labels);
    const child = isObject(labels)
      ? this.#add(labels, amountOf(value))
      : this.#add(NO_LABELS, amountOf(labels));
    if (exemplarLabels === undefined) return;
    const exemplar = child.exemplar ?? new Exemplar();
    exemplar.set(exemplarLabels, value || 1);
    child.exemplar = exemplar;
  }
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
