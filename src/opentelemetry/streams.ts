// Where an instrument's values go: the metrics of one name, one for each set of attribute keys, as its plan wants them.

import type { Attributes, Context } from "@opentelemetry/api";
import type { Counter, Family, Gauge, Histogram, MetricOptions } from "../client/index.ts";
import { DIALECT } from "../layout/index.ts";
import { declareHistogram } from "./aggregation.ts";
import { type Handle, SeriesTable, type StreamSource } from "./series-table.ts";

/** Rounds in which an asynchronous instrument tells nothing of a series, after which it is given up. */
const FORGET_AFTER_ROUNDS = 6;

export abstract class Stream<H extends Handle = Handle> {
  protected readonly source: StreamSource;
  protected readonly series: SeriesTable<H>;
  /** What an asynchronous instrument has told in this round, and in the one before. */
  #told = new Map<H, number>();
  #before = new Map<H, number>();
  /** For how many rounds it has told nothing of a series. */
  readonly #absent = new Map<H, number>();

  constructor(source: StreamSource) {
    this.source = source;
    this.series = new SeriesTable<H>(source, (labels) => this.declare(labels));
  }

  /** Keeps the longer of two descriptions, as the specification has it. @returns whether they contradict each other */
  describe(description: string): boolean {
    const { source } = this;
    const { description: before } = source;
    if (description.length > before.length) source.description = description;
    return description !== before && description !== "" && before !== "";
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
    for (const [handle, value] of this.#told) {
      this.put(handle, value);
      this.#absent.delete(handle);
    }
    for (const handle of this.#before.keys()) {
      if (this.#told.has(handle)) continue;
      this.clear(handle);
      this.#absent.set(handle, 0);
    }
    this.#before = this.#told;
    this.#told = new Map();
    this.#forgetAbsent();
  }

  /** What comes and goes keeps its series; what has gone for good makes room for others. */
  #forgetAbsent(): void {
    const gone = new Set<H>();
    for (const [handle, rounds] of this.#absent) {
      this.#absent.set(handle, rounds + 1);
      if (rounds + 1 >= FORGET_AFTER_ROUNDS) gone.add(handle);
    }
    if (gone.size === 0) return;
    for (const handle of gone) this.#absent.delete(handle);
    this.series.forget(gone);
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
