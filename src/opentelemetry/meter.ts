// A meter makes instruments: finds the views that are for one, and the streams that its values go to.

import type {
  BatchObservableCallback,
  Meter as MeterApi,
  MetricOptions,
  Observable,
} from "@opentelemetry/api";
import type { MicroView } from "../client/index.ts";
import {
  type Combine,
  checkDefinition,
  cutTo,
  DIALECT,
  isInstrumentName,
  LIMITS,
} from "../layout/index.ts";
import {
  AggregationType,
  type DefaultHistogram,
  type Descriptor,
  type InstrumentType,
  type Plan,
  planOf,
} from "./aggregation.ts";
import type { Diagnostics } from "./api.ts";
import {
  CounterInstrument,
  GaugeInstrument,
  HistogramInstrument,
  UpDownCounterInstrument,
} from "./instruments.ts";
import { ObservableInstrument, type ObservableRegistry } from "./observables.ts";
import type { IAttributesProcessor } from "./series-table.ts";
import { type Stream, streamOf } from "./streams.ts";
import type { MeterIdentity, View, ViewOptions } from "./views.ts";

/** What all meters of a provider share. */
export interface Shared {
  client: MicroView;
  diagnostics: Diagnostics;
  views: readonly View[];
  registry: ObservableRegistry;
  cardinalityLimit: number;
  defaultHistogram: DefaultHistogram;
  /** What each name means, by its lower case: names differ in more than that. */
  names: Map<string, { name: string; meaning: string }>;
  /** Kinds of instrument by scope and name: a sum that is added to is not one that is told as a whole. */
  types: Map<string, InstrumentType>;
}

/** `ValueType.INT` of the API, whose values are not loaded. */
const INT = 0;

export class Meter implements MeterApi {
  readonly #shared: Shared;
  readonly #identity: MeterIdentity;
  readonly #streams = new Map<string, Stream>();

  constructor(shared: Shared, identity: MeterIdentity) {
    this.#shared = shared;
    this.#identity = identity;
  }

  createCounter(name: string, options?: MetricOptions): CounterInstrument {
    return this.#sync(CounterInstrument, "COUNTER", name, options);
  }

  createUpDownCounter(name: string, options?: MetricOptions): UpDownCounterInstrument {
    return this.#sync(UpDownCounterInstrument, "UP_DOWN_COUNTER", name, options);
  }

  createGauge(name: string, options?: MetricOptions): GaugeInstrument {
    return this.#sync(GaugeInstrument, "GAUGE", name, options);
  }

  createHistogram(name: string, options?: MetricOptions): HistogramInstrument {
    return this.#sync(HistogramInstrument, "HISTOGRAM", name, options);
  }

  createObservableCounter(name: string, options?: MetricOptions): ObservableInstrument {
    return this.#observable("OBSERVABLE_COUNTER", name, options);
  }

  createObservableUpDownCounter(name: string, options?: MetricOptions): ObservableInstrument {
    return this.#observable("OBSERVABLE_UP_DOWN_COUNTER", name, options);
  }

  createObservableGauge(name: string, options?: MetricOptions): ObservableInstrument {
    return this.#observable("OBSERVABLE_GAUGE", name, options);
  }

  addBatchObservableCallback(callback: BatchObservableCallback, observables: Observable[]): void {
    this.#shared.registry.add(callback, observables, false);
  }

  removeBatchObservableCallback(
    callback: BatchObservableCallback,
    observables: Observable[],
  ): void {
    this.#shared.registry.remove(callback, observables, false);
  }

  #sync<T>(
    Class: new (descriptor: Descriptor, streams: Stream[], diagnostics: Diagnostics) => T,
    type: InstrumentType,
    name: string,
    options?: MetricOptions,
  ): T {
    const descriptor = describe(name, type, options);
    return new Class(descriptor, this.#streamsOf(descriptor), this.#shared.diagnostics);
  }

  #observable(type: InstrumentType, name: string, options?: MetricOptions): ObservableInstrument {
    const descriptor = describe(name, type, options);
    const { registry } = this.#shared;
    return new ObservableInstrument(descriptor, this.#streamsOf(descriptor), registry);
  }

  /** A stream for each view that is for the instrument, or one where there is none. */
  #streamsOf(descriptor: Descriptor): Stream[] {
    const views = this.#shared.views.filter((view) => view.isFor(descriptor, this.#identity));
    const streams = new Set<Stream>();
    const options: ViewOptions[] = views.length === 0 ? [{}] : views.map((view) => view.options);
    for (const each of options) {
      const stream = this.#streamFor(descriptor, each);
      if (stream !== undefined) streams.add(stream);
    }
    return [...streams];
  }

  #streamFor(descriptor: Descriptor, view: ViewOptions): Stream | undefined {
    const { client, diagnostics, defaultHistogram, cardinalityLimit } = this.#shared;
    const combine: Combine = view.combine ?? "last";
    const aggregation = view.aggregation ?? { type: AggregationType.DEFAULT };
    const plan = planOf(descriptor, aggregation, defaultHistogram, combine);
    if (plan === undefined) return undefined;
    const unit = this.#cut("unit", descriptor.unit, LIMITS.unitBytes, descriptor);
    const given = view.description ?? descriptor.description;
    const description = this.#cut("description", given, LIMITS.helpBytes, descriptor);
    const name = this.#nameFor(view.name ?? descriptor.name, descriptor.type, unit, plan);
    if (name === undefined) return undefined;
    const key = JSON.stringify([name, descriptor.type, descriptor.isInteger]);
    let stream = this.#streams.get(key);
    if (stream === undefined) {
      stream = streamOf({
        client,
        diagnostics,
        name,
        description,
        unit,
        scope: this.#identity,
        plan,
        cardinalityLimit: limitOf(view.aggregationCardinalityLimit, cardinalityLimit),
        processors: (view.attributesProcessors ?? []) as IAttributesProcessor[],
      });
      this.#streams.set(key, stream);
    } else if (stream.describe(description)) {
      diagnostics.warn(`${name} is described in two ways: the longer one is kept`);
    }
    return stream;
  }

  #cut(what: string, text: string, maxBytes: number, { name }: Descriptor): string {
    const cut = cutTo(text, maxBytes);
    if (cut.length < text.length) {
      this.#shared.diagnostics.warn(`${name}: its ${what} is cut to ${maxBytes} bytes`);
    }
    return cut;
  }

  /** The name as it is stored; undefined, and told to `diag`, when it cannot be. */
  #nameFor(given: string, type: InstrumentType, unit: string, plan: Plan): string | undefined {
    const { diagnostics, names, types } = this.#shared;
    const refuse = (why: string, hint: string) => {
      const what = `the instrument ${JSON.stringify(given.slice(0, 80))}`;
      diagnostics.lost(`${what} ${why}, its values go nowhere`, hint);
      return undefined;
    };
    if (!isInstrumentName(given)) {
      return refuse(
        "has no valid name",
        "a letter, then letters, digits, and _ . - /, 255 at most",
      );
    }
    const meaning = JSON.stringify([plan, unit]);
    const known = names.get(given.toLowerCase());
    const { name, version } = this.#identity;
    const place = JSON.stringify([name, version, given.toLowerCase()]);
    const isOther = known !== undefined && known.meaning !== meaning;
    if (isOther || (types.get(place) ?? type) !== type) {
      const hint =
        "one name has one kind, unit and buckets in a service; a view may give it another";
      return refuse("is another one than that of its name", hint);
    }
    types.set(place, type);
    if (known !== undefined) return known.name;
    try {
      const labelNames: string[] = [];
      checkDefinition({ ...plan, name: given, unit, help: "", labelNames, dialect: DIALECT });
    } catch (error) {
      return refuse("cannot be stored", (error as Error).message);
    }
    names.set(given.toLowerCase(), { name: given, meaning });
    return given;
  }
}

function describe(name: string, type: InstrumentType, options?: MetricOptions): Descriptor {
  // Programs without types give null, or anything.
  const { description, unit, valueType, advice } = options ?? {};
  return {
    name: String(name),
    type,
    description: String(description ?? "").toWellFormed(),
    unit: String(unit ?? "").toWellFormed(),
    isInteger: valueType === INT,
    advice: advice ?? {},
  };
}

function limitOf(given: number | undefined, fallback: number): number {
  return given !== undefined && given >= 1 ? Math.floor(given) : fallback;
}
