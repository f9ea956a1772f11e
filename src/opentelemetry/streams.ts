// Where an instrument's values go: the metrics of one name, one for each set of attribute keys, and their series.

import type { Attributes, Context } from "@opentelemetry/api";
import {
  type Counter,
  Family,
  type Gauge,
  type Histogram,
  type MetricOptions,
  type MicroView,
} from "../client/index.ts";
import { DIALECT, LIMITS, SCOPE_LABELS } from "../layout/index.ts";
import { declareHistogram, type Plan } from "./aggregation.ts";
import { activeContext, type Diagnostics } from "./api.ts";
import { AttributeCache } from "./attribute-cache.ts";
import { cutTo, type LabelSet, labelSetOf } from "./attributes.ts";

export type Handle = Counter | Gauge | Histogram;

/** Changes the attributes of a measurement, as `@opentelemetry/sdk-metrics` has it. */
export interface IAttributesProcessor {
  process(incoming: Attributes, context?: Context): Attributes;
}

/** What made an instrument. */
export interface Scope {
  name: string;
  version: string;
}

/** All that a stream is made of. */
export interface StreamSource {
  client: MicroView;
  diagnostics: Diagnostics;
  name: string;
  description: string;
  unit: string;
  scope: Scope;
  plan: Plan;
  /** Series at most, the one for the others included. */
  cardinalityLimit: number;
  processors: readonly IAttributesProcessor[];
}

/** Sets of attribute keys of a stream at most; the agent allows a service 128 for a name. */
const KEY_SETS_MAX = 32;
/** What stands for the attributes of measurements that have no series of their own. */
const OVERFLOW: LabelSet = { keys: ["otel.metric.overflow"], values: ["true"] };
/** Orders of keys, and attributes that a view leaves out, may lead to a series by several ways. */
const WAYS_PER_SERIES = 4;

/** The series of a stream, by attributes: one class for all kinds of stream, so that its code is made for it. */
class SeriesTable<H extends Handle> {
  readonly #source: StreamSource;
  readonly #scope: LabelSet;
  readonly #declare: (labels: readonly string[]) => H | Family<H>;
  readonly #isProcessed: boolean;
  readonly #cache: AttributeCache<H>;
  readonly #handles = new Map<string, H>();
  readonly #keySets = new Set<string>();
  #bare: H | undefined;
  #overflow: H | undefined;

  constructor(source: StreamSource, declare: (labels: readonly string[]) => H | Family<H>) {
    this.#source = source;
    this.#scope = scopeLabels(source.scope);
    this.#declare = declare;
    this.#isProcessed = source.processors.length > 0;
    this.#cache = new AttributeCache(source.cardinalityLimit * WAYS_PER_SERIES);
  }

  /** The series of attributes; undefined when not even that for the others can be had. */
  of(given: Attributes | undefined, context: Context | undefined): H | undefined {
    const attributes = this.#isProcessed ? this.#process(given, context) : given;
    if (attributes === undefined || attributes === null) {
      this.#bare ??= this.#resolve({});
      return this.#bare;
    }
    return this.#cache.get(attributes) ?? this.#resolve(attributes);
  }

  #process(given: Attributes | undefined, context = activeContext()): Attributes {
    const { processors, name, diagnostics } = this.#source;
    let attributes = given ?? {};
    try {
      for (const processor of processors) attributes = processor.process(attributes, context);
    } catch (error) {
      diagnostics.warn(`an attributes processor of ${name} has thrown: ${String(error)}`);
    }
    return attributes;
  }

  #resolve(attributes: Attributes): H | undefined {
    const { name, diagnostics, cardinalityLimit } = this.#source;
    const labels = labelSetOf(attributes, name, diagnostics);
    const id = JSON.stringify(labels);
    let handle = this.#handles.get(id);
    if (handle === undefined) {
      const keys = JSON.stringify(labels.keys);
      const why = this.#refusal(labels, keys);
      if (why !== undefined) {
        diagnostics.warn(`${name} ${why}: what is more goes to otel.metric.overflow="true"`);
        this.#overflow ??= this.#create(OVERFLOW);
        return this.#overflow;
      }
      handle = this.#create(labels);
      if (handle === undefined) return undefined;
      this.#keySets.add(keys);
      this.#handles.set(id, handle);
    }
    if (cardinalityLimit > 0) this.#cache.put(attributes, handle);
    return handle;
  }

  /** Why a set of labels gets no series of its own. */
  #refusal({ keys }: LabelSet, keySet: string): string | undefined {
    const { cardinalityLimit } = this.#source;
    if (this.#handles.size >= cardinalityLimit - 1) {
      return `has ${cardinalityLimit} sets of attributes, as many as it may`;
    }
    const keysMax = LIMITS.labelsPerMetric - this.#scope.keys.length;
    if (keys.length > keysMax) return `is given more than ${keysMax} attributes`;
    if (this.#keySets.size < KEY_SETS_MAX || this.#keySets.has(keySet)) return undefined;
    return `has ${KEY_SETS_MAX} sets of attribute keys, as many as it may`;
  }

  #create({ keys, values }: LabelSet): H | undefined {
    try {
      const metric = this.#declare([...keys, ...this.#scope.keys]);
      return metric instanceof Family ? metric.labels(...values, ...this.#scope.values) : metric;
    } catch (error) {
      this.#source.diagnostics.warn(
        `${this.#source.name} is not shared: ${(error as Error).message}`,
      );
      return undefined;
    }
  }
}

export abstract class Stream<H extends Handle = Handle> {
  protected readonly source: StreamSource;
  protected readonly series: SeriesTable<H>;
  /** What an asynchronous instrument has told in this round, and in the one before. */
  #told = new Map<H, number>();
  #before = new Map<H, number>();

  constructor(source: StreamSource) {
    this.source = source;
    this.series = new SeriesTable<H>(source, (labels) => this.declare(labels));
  }

  /** Takes in a measurement of a synchronous instrument, which has checked its value. */
  abstract record(value: number, attributes: Attributes | undefined, context?: Context): void;

  /** Takes in what an asynchronous instrument tells. Those that come to one series add up, where sums do. */
  tell(value: number, attributes: Attributes): void {
    const handle = this.series.of(attributes, undefined);
    if (handle === undefined) return;
    const told = this.source.plan.adds ? this.#told.get(handle) : undefined;
    this.#told.set(handle, (told ?? 0) + value);
  }

  /** Ends a round: stores what was told in it, and makes absent what was not told again. */
  settle(): void {
    for (const [handle, value] of this.#told) this.put(handle, value);
    for (const handle of this.#before.keys()) if (!this.#told.has(handle)) this.clear(handle);
    this.#before = this.#told;
    this.#told = new Map();
  }

  protected abstract declare(labels: readonly string[]): H | Family<H>;
  /** Stores an asynchronous instrument's value. */
  protected abstract put(handle: H, value: number): void;
  /** Takes such a value back. */
  protected abstract clear(handle: H): void;

  protected get options(): MetricOptions {
    const { description: help, unit } = this.source;
    return { help, unit, dialect: DIALECT };
  }
}

function scopeLabels({ name, version }: Scope): LabelSet {
  const labels: LabelSet = { keys: [], values: [] };
  const add = (key: string, value: string) => {
    if (value === "") return;
    labels.keys.push(key);
    labels.values.push(cutTo(value.toWellFormed(), LIMITS.labelValueBytes));
  };
  add(SCOPE_LABELS.name, name);
  add(SCOPE_LABELS.version, version);
  return labels;
}

class CounterStream extends Stream<Counter> {
  override record(value: number, attributes: Attributes | undefined, context?: Context): void {
    this.series.of(attributes, context)?.inc(value);
  }

  protected override declare(labels: readonly string[]) {
    const { client, name } = this.source;
    return labels.length === 0
      ? client.counter(name, this.options)
      : client.counter(name, { ...this.options, labels });
  }

  protected override put(handle: Counter, value: number): void {
    handle.values[handle.at] = value;
  }

  /** A total stays what it was: what it counted has happened. */
  protected override clear(): void {}
}

class GaugeStream extends Stream<Gauge> {
  override record(value: number, attributes: Attributes | undefined, context?: Context): void {
    this.series.of(attributes, context)?.set(value);
  }

  protected override declare(labels: readonly string[]) {
    const { client, name, plan } = this.source;
    const options = { ...this.options, combine: plan.combine };
    return labels.length === 0
      ? client.gauge(name, options)
      : client.gauge(name, { ...options, labels });
  }

  protected override put(handle: Gauge, value: number): void {
    handle.set(value);
  }

  /** One part of a sum is nothing; any other gauge takes no part any more. */
  protected override clear(handle: Gauge): void {
    handle.values[handle.at] = this.source.plan.combine === "sum" ? 0 : Number.NaN;
  }
}

/** A sum that goes both ways. */
class UpDownStream extends GaugeStream {
  override record(value: number, attributes: Attributes | undefined, context?: Context): void {
    this.series.of(attributes, context)?.inc(value);
  }
}

class HistogramStream extends Stream<Histogram> {
  override record(value: number, attributes: Attributes | undefined, context?: Context): void {
    this.series.of(attributes, context)?.observe(value);
  }

  protected override declare(labels: readonly string[]) {
    const { client, name, plan } = this.source;
    return declareHistogram(client, name, plan, this.options, labels);
  }

  protected override put(handle: Histogram, value: number): void {
    handle.observe(value);
  }

  protected override clear(): void {}
}

/** A stream as its plan wants it. */
export function streamOf(source: StreamSource): Stream {
  const { kind, adds } = source.plan;
  if (kind === "counter") return new CounterStream(source);
  if (kind !== "gauge") return new HistogramStream(source);
  return adds ? new UpDownStream(source) : new GaugeStream(source);
}
