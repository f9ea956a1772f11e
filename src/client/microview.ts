// What a service imports: declares metrics and gets handles whose calls are stores.

import { resolve } from "node:path";
import {
  type Combine,
  checkAppName,
  checkDefinition,
  checkLabelValue,
  checkServiceName,
  DIALECT,
  type Dialect,
  defaultSocketPath,
  definitionConflict,
  initialValue,
  type LogLinearOptions,
  logLinearOptions,
  type MetricDefinition,
  millisecondsPer,
  poolDirOf,
  slotsPerSeries,
} from "../layout/index.ts";
import type { ApiError } from "../rest/index.ts";
import type { Readiness } from "./attachment-status.ts";
import type { Cell } from "./cells.ts";
import { Counter } from "./counter.ts";
import {
  type Declared,
  type DeclaredMetric,
  EVALUATION,
  forget,
  keep,
  takeOver,
} from "./declared.ts";
import { captureConsole } from "./events/console.ts";
import type { Measure, MeasureOptions } from "./events/measure.ts";
import type { EventsOptions, Log } from "./events/options.ts";
import { callerOf } from "./events/place.ts";
import { Recorder } from "./events/recorder.ts";
import type { Span, SpanName, SpanOptions } from "./events/span.ts";
import { Family } from "./family.ts";
import { type Gauge, gaugeClass } from "./gauge.ts";
import { type Histogram, histogramFactory } from "./histogram.ts";
import { checkKind, checkKnown, checkOptions } from "./options.ts";
import { warnOnStderr } from "./warning.ts";
import { ThreadWriter } from "./writer.ts";

export interface MicroViewOptions {
  /** The trust domain that services share, e.g. "shop". */
  app: string;
  /** This microservice, e.g. "auth". */
  service: string;
  /** The agent's Unix socket. Default: MICROVIEW_SOCKET, else the one in the run directory. */
  socket?: string;
  /** Where this process sees pools as DIR/<app>/pool, if not where the agent does. Default: MICROVIEW_POOL_DIR. */
  poolDir?: string;
  /** How events are recorded; see docs/events.md. */
  events?: EventsOptions;
  /** Receives, once each, what does not work; default writes a line to stderr. The service goes on in any case. */
  onWarning?: (warning: ApiError) => void;
}

/** What every kind of metric may be given. */
export interface MetricOptions {
  help?: string;
  /** Base unit, e.g. "seconds", "bytes". */
  unit?: string;
  /** OpenTelemetry's names and units, and a metric for each set of label names; see docs/opentelemetry.md. */
  dialect?: Dialect;
}

export interface GaugeOptions extends MetricOptions {
  /** How the gauges of several writers become one; default "sum". */
  combine?: Combine;
}

/** Either `buckets`, or a log-linear histogram with its range and error. */
export type HistogramOptions = MetricOptions &
  (
    | { /** Upper bounds, ascending, without +Inf. */ buckets: readonly number[] }
    | (LogLinearOptions & { buckets?: never })
  );

/** Label names, which make a metric a family of children. */
export interface Labelled<Label extends string> {
  labels: readonly Label[];
}

/**
 * A connection of this thread to the agent of its host. Returns at once, and never fails because there is no agent.
 * After a reload of `bun --hot` it is the one that it was before, with the same handles.
 */
export class MicroView {
  readonly app: string;
  readonly service: string;
  readonly #name: string;
  readonly #declared: Declared;
  readonly #poolDir: string | undefined;
  readonly #events: EventsOptions;

  /** @throws DefinitionError when an option is missing or of another kind, or a name breaks a rule */
  constructor(options: MicroViewOptions) {
    checkOptions("new MicroView", options, OPTION_KINDS, REQUIRED);
    const { app, service } = options;
    checkAppName(app);
    checkServiceName(service);
    this.app = app;
    this.service = service;
    const seenIn = options.poolDir ?? (process.env["MICROVIEW_POOL_DIR"] || undefined);
    // The working directory may change before the service attaches again.
    const poolDir = seenIn === undefined ? undefined : resolve(seenIn);
    const socketPath = options.socket ?? defaultSocketPath(process.env, process.getuid?.());
    const onWarning = options.onWarning ?? warnOnStderr;
    this.#poolDir = poolDir;
    this.#events = options.events ?? {};
    checkOptions("new MicroView: events", this.#events, EVENTS_KINDS);
    checkKnown("new MicroView: events", this.#events, Object.keys(EVENTS_KINDS));
    this.#name = JSON.stringify([app, service, socketPath, poolDir]);
    const before = takeOver(this.#name, this);
    if (before !== undefined) {
      before.onWarning = onWarning;
      this.#declared = before;
      return;
    }
    const writer = new ThreadWriter({
      app,
      service,
      socketPath,
      onWarning: (warning) => declared.onWarning(warning),
      // A service that sees pools elsewhere than the agent does has said where.
      ...(poolDir === undefined
        ? { onPool: (path) => followPool(declared, path, app) }
        : { poolDir }),
    });
    const metrics = new Map();
    const declared: Declared = { writer, metrics, onWarning, evaluation: EVALUATION, owner: this };
    this.#declared = declared;
    keep(this.#name, declared);
  }

  get #recorder(): Recorder {
    const declared = this.#declared;
    declared.recorder ??= new Recorder({
      app: this.app,
      service: this.service,
      poolDir: this.#poolDir ?? declared.agentPoolDir,
      ...this.#events,
      onWarning: (warning) => declared.onWarning(warning),
    });
    return declared.recorder;
  }

  get #writer(): ThreadWriter {
    return this.#declared.writer;
  }

  /**
   * Resolves when the series declared so far have their places in the pool, and after five seconds in any case; says
   * whether the service is attached, and if not why. Never rejects. It keeps the process until then.
   */
  get ready(): Promise<Readiness> {
    return this.#writer.ready;
  }

  /** Calls back when the series declared so far have their places; a program that is done does not wait for it. */
  onReady(call: () => void): void {
    this.#writer.onReady(call);
  }

  /** Whether stores go to the pool now, and not to private memory. */
  get attached(): boolean {
    return this.#writer.attached;
  }

  /**
   * Declares a counter; asking again for the same gives the same handle.
   * @throws DefinitionError for a name or option that breaks a rule, Error when it was declared otherwise
   */
  counter<const Label extends string>(
    name: string,
    options: MetricOptions & Labelled<Label>,
  ): Family<Counter, Label>;
  counter(name: string, options?: MetricOptions): Counter;
  counter(name: string, options: MetricOptions & Partial<Labelled<string>> = {}) {
    const definition = define(name, "counter", options);
    return this.#declare(definition, (values, at) => new Counter(values, at));
  }

  /** Declares a gauge; see {@link MicroView.counter}. */
  gauge<const Label extends string>(
    name: string,
    options: GaugeOptions & Labelled<Label>,
  ): Family<Gauge, Label>;
  gauge(name: string, options?: GaugeOptions): Gauge;
  gauge(name: string, options: GaugeOptions & Partial<Labelled<string>> = {}) {
    const combine = options.combine ?? "sum";
    const Class = gaugeClass(combine);
    const definition = define(name, "gauge", options, { combine });
    const unitMs = millisecondsPer(definition.unit);
    return this.#declare(definition, (values, at) => new Class(values, at, unitMs));
  }

  /**
   * Declares a histogram; see {@link MicroView.counter}. Without `buckets` it is log-linear: from `min` to `max`, values
   * read back to within `error`. The defaults go by the unit: without one, and of seconds, 1 µs to 1000 s to within
   * 6.25 %, in 243 slots of 8 bytes per series. Values out of range are reported once to `onWarning`.
   */
  histogram<const Label extends string>(
    name: string,
    options: HistogramOptions & Labelled<Label>,
  ): Family<Histogram, Label>;
  histogram(name: string, options?: HistogramOptions): Histogram;
  histogram(name: string, options: HistogramOptions & Partial<Labelled<string>> = {}) {
    const definition =
      options.buckets === undefined
        ? define(name, "loglinear", options, {
            logLinear: logLinearOptions(options.unit ?? "", options),
          })
        : define(name, "histogram", options, { bounds: Array.from(options.buckets) });
    checkDefinition(definition);
    return this.#declare(definition, histogramFactory(definition));
  }

  /** Records lines in shared memory, which survive this process: `mv.log.warn("slow", { ms })`. */
  get log(): Log {
    return this.#recorder.log;
  }

  /**
   * Records what this thread says by `console`, which goes on as before; see docs/events.md.
   * @returns ends it
   */
  captureConsole(): () => void {
    return captureConsole(this.log);
  }

  /** Records lines of a part of the program: `mv.logger("http").info("listening")`. */
  logger(target: string): Log {
    const { logger } = MicroView.prototype;
    // Not returned at once, as callerOf needs it.
    const log = this.#recorder.logger(String(target), () => callerOf(logger));
    return log;
  }

  /** Names values that are recorded one by one: `mv.measure("latency", "seconds").record(0.2)`. */
  measure(name: string, unit = "", { target = "" }: MeasureOptions = {}): Measure {
    const called = MicroView.prototype.measure;
    const place = () => callerOf(called);
    const measure = this.#recorder.measure(String(name), String(unit), String(target), place);
    return measure;
  }

  /** Names pieces of work whose beginnings and ends are recorded: `mv.span("query").run(() => …)`. */
  span(name: string, options?: SpanOptions): SpanName {
    const called = MicroView.prototype.span;
    const span = this.#recorder.span(String(name), options, () => callerOf(called));
    return span;
  }

  /** The span whose `run`, `runAsync` or `withSpan` this code is in. */
  currentSpan(): Span | undefined {
    return this.#declared.recorder?.currentSpan;
  }

  /** Runs a function, and all that it calls later, within a span that was begun by `begin`. */
  withSpan<T>(span: Span, run: () => T): T {
    return this.#recorder.withinAsync(span, run);
  }

  /** @internal for adapters of other libraries */
  get recorder(): Recorder {
    return this.#recorder;
  }

  /** Gives the pages back after registering what still waits; handles then count into private memory. */
  async close(): Promise<void> {
    // One that was declared again is not its own any more.
    if (this.#declared.owner !== this) return;
    forget(this.#name, this.#declared);
    this.#declared.recorder?.close();
    await this.#writer.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #removeAll({ definition, metric }: DeclaredMetric): void {
    // Not by its class: that is another one after each evaluation.
    if (definition.labelNames.length === 0) this.#writer.remove(metric as Cell);
    else (metric as Family<Cell>).clear();
  }

  #declare<Child extends Cell>(
    definition: MetricDefinition,
    create: (values: Float64Array, at: number) => Child,
  ): Child | Family<Child> {
    const key = keyOf(definition);
    const { metrics } = this.#declared;
    const known = metrics.get(key);
    if (known !== undefined) {
      const conflict = definitionConflict(known.definition, definition);
      if (conflict === undefined) {
        known.evaluation = EVALUATION;
        return known.metric as Child | Family<Child>;
      }
      if (known.evaluation === EVALUATION) {
        throw new Error(
          `the metric ${definition.name} was declared otherwise: ${conflict}. Give it another name`,
        );
      }
    }
    checkDefinition(definition);
    // It was changed, and the module that declares it was loaded again.
    if (known !== undefined) this.#removeAll(known);
    const slots = slotsPerSeries(definition);
    const initial = initialValue(definition);
    const newSeries = (labelValues: string[]): Child => {
      for (const value of labelValues) checkLabelValue(definition.name, value);
      const { values, at } = this.#writer.take(slots);
      values[at] = initial;
      const cell = create(values, at);
      this.#writer.add({ metric: definition, labelValues, cell, slots, placed: false });
      return cell;
    };
    const metric =
      definition.labelNames.length === 0
        ? newSeries([])
        : new Family<Child>(definition.name, definition.labelNames, newSeries, (cell) =>
            this.#writer.remove(cell),
          );
    metrics.set(key, { definition, metric, evaluation: EVALUATION });
    return metric;
  }
}

/** The agent makes room in rings that are beside its pools, and ships those. */
function followPool(declared: Declared, path: string, app: string): void {
  declared.agentPoolDir = poolDirOf(path, app);
  declared.recorder?.follow(declared.agentPoolDir);
}

/** What two declarations of one metric have in common: its name, and its labels where those are open. */
function keyOf({ name, labelNames, dialect }: MetricDefinition): string {
  return dialect === DIALECT ? JSON.stringify([name, ...labelNames]) : name;
}

const OPTION_KINDS = {
  app: "string",
  service: "string",
  socket: "text",
  poolDir: "text",
  onWarning: "function",
} as const;
const EVENTS_KINDS = {
  level: "level",
  spans: "boolean",
  measures: "boolean",
  sample: "share",
  trustTraceparent: "boolean",
  thinAbove: "rate",
  redact: "strings",
  redactHook: "function",
} as const;
const REQUIRED = { app: "shop", service: "auth" };

const COMMON_OPTIONS = ["help", "unit", "labels", "dialect"];
const HISTOGRAM_OPTIONS = ["buckets", "min", "max", "error"];
const OWN_OPTIONS = {
  counter: [],
  gauge: ["combine"],
  histogram: HISTOGRAM_OPTIONS,
  loglinear: HISTOGRAM_OPTIONS,
} as const satisfies Record<MetricDefinition["kind"], readonly string[]>;

const METRIC_KINDS = {
  help: "string",
  unit: "string",
  labels: "strings",
  buckets: "numbers",
} as const;

function define(
  name: string,
  kind: MetricDefinition["kind"],
  options: MetricOptions & Partial<Labelled<string>>,
  more: Partial<MetricDefinition> = {},
): MetricDefinition {
  checkKind("the name of a metric", name, "string");
  checkOptions(`the metric ${name}`, options, METRIC_KINDS);
  const call = kind === "loglinear" ? "histogram" : kind;
  checkKnown(`the ${call} ${name}`, options, [...COMMON_OPTIONS, ...OWN_OPTIONS[kind]]);
  return {
    name,
    kind,
    unit: options.unit ?? "",
    help: options.help ?? "",
    labelNames: [...(options.labels ?? [])],
    combine: "sum",
    bounds: [],
    ...(options.dialect === undefined ? {} : { dialect: options.dialect }),
    ...more,
  };
}
