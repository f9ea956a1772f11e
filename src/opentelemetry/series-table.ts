// From the attributes of a call to its series: known ones by the cache, others by declaring a metric for their keys, and
// what is more than a stream may have by the series for all others.

import type { Attributes, Context } from "@opentelemetry/api";
import {
  type Counter,
  Family,
  type Gauge,
  type Histogram,
  type MicroView,
} from "../client/index.ts";
import { cutTo, LIMITS, SCOPE_LABELS } from "../layout/index.ts";
import type { Plan } from "./aggregation.ts";
import { activeContext, type Diagnostics, shortText } from "./api.ts";
import { AttributeCache } from "./attribute-cache.ts";
import { type LabelSet, labelSetOf } from "./attributes.ts";

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
  /** The longest so far: of metrics that are declared already it is what it was. */
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
export class SeriesTable<H extends Handle> {
  readonly #source: StreamSource;
  readonly #scope: LabelSet;
  readonly #declare: (labels: readonly string[]) => H | Family<H>;
  readonly #isProcessed: boolean;
  #cache: AttributeCache<H>;
  readonly #handles = new Map<string, H>();
  readonly #keySets = new Set<string>();
  #bare: H | undefined;
  #overflow: H | undefined;

  constructor(source: StreamSource, declare: (labels: readonly string[]) => H | Family<H>) {
    this.#source = source;
    this.#scope = scopeLabels(source.scope);
    this.#declare = declare;
    this.#isProcessed = source.processors.length > 0;
    this.#cache = this.#newCache();
  }

  /** The series of attributes; undefined when not even that for the others can be had. */
  of(given: Attributes | undefined, context: Context | undefined): H | undefined {
    const attributes = this.#isProcessed ? this.#process(given, context) : given;
    if (attributes === undefined || attributes === null) {
      this.#bare ??= this.#resolve({});
      return this.#bare;
    }
    try {
      return this.#cache.get(attributes) ?? this.#resolve(attributes);
    } catch (error) {
      // A getter of the program's, or a proxy.
      const { name, diagnostics } = this.#source;
      diagnostics.warn(`attributes of ${name} cannot be read: ${shortText(error)}`);
      return undefined;
    }
  }

  /** Gives up series, so that there is room for others. Those of no labels stay. */
  forget(gone: ReadonlySet<H>): void {
    for (const [id, handle] of this.#handles) {
      if (!gone.has(handle)) continue;
      const { metric, values } = this.#metricOf(JSON.parse(id) as LabelSet);
      if (!(metric instanceof Family)) continue;
      metric.remove(...values);
      this.#handles.delete(id);
    }
    this.#bare = undefined;
    this.#cache = this.#newCache();
  }

  #newCache(): AttributeCache<H> {
    return new AttributeCache(this.#source.cardinalityLimit * WAYS_PER_SERIES);
  }

  #process(given: Attributes | undefined, context = activeContext()): Attributes {
    const { processors, name, diagnostics } = this.#source;
    let attributes = given ?? {};
    try {
      for (const processor of processors) attributes = processor.process(attributes, context);
    } catch (error) {
      diagnostics.warn(`an attributes processor of ${name} has thrown: ${shortText(error)}`);
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

  #create(labels: LabelSet): H | undefined {
    try {
      const { metric, values } = this.#metricOf(labels);
      return metric instanceof Family ? metric.labels(...values) : metric;
    } catch (error) {
      const { name, diagnostics } = this.#source;
      diagnostics.lost(`${name} is not shared with all its attributes`, (error as Error).message);
      return undefined;
    }
  }

  /** The metric for a set of keys, and the values in the order of its labels, which are those of the scope too. */
  #metricOf({ keys, values }: LabelSet): { metric: H | Family<H>; values: string[] } {
    const labels = new Map(keys.map((key, i) => [key, values[i]!]));
    for (const [i, key] of this.#scope.keys.entries()) labels.set(key, this.#scope.values[i]!);
    const names = [...labels.keys()].sort();
    return { metric: this.#declare(names), values: names.map((name) => labels.get(name)!) };
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
