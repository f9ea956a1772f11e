// The MeterProvider that a program registers with OpenTelemetry's API: `metrics.setGlobalMeterProvider(…)`.

import type {
  Meter as MeterApi,
  MeterOptions,
  MeterProvider as MeterProviderApi,
} from "@opentelemetry/api";
import { MicroView, type MicroViewOptions, type Readiness, warnOnStderr } from "../client/index.ts";
import { type DefaultHistogram, HISTOGRAMS } from "./aggregation.ts";
import { Diagnostics } from "./api.ts";
import { type Environment, identityOf, type Resource } from "./identity.ts";
import { Meter, type Shared } from "./meter.ts";
import { ObservableRegistry } from "./observables.ts";
import { View, type ViewOptions } from "./views.ts";

export interface MeterProviderOptions extends Partial<MicroViewOptions> {
  /** Gives `service.name` and `service.namespace`, where `service` and `app` are not given. Nothing else of it is kept. */
  resource?: Resource;
  views?: readonly ViewOptions[];
  /** Taken so that a changed import is enough, and not used: the agent is what reads. */
  readers?: readonly unknown[];
  /** How often observable instruments are asked. Default: 10 s. */
  collectIntervalMs?: number;
  /** Sets of attributes of an instrument at most, of which the last is for all others. Default: 2000. */
  cardinalityLimit?: number;
  /**
   * What a histogram is that neither a view nor its own advice says anything of. Default:
   * OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION, else "explicit_bucket_histogram".
   */
  defaultHistogram?: DefaultHistogram;
}

const DEFAULT_HISTOGRAM = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
const COLLECT_INTERVAL_MS = 10_000;
const CARDINALITY_LIMIT = 2000;
const FLUSH_TIMEOUT_MS = 30_000;

export class MeterProvider implements MeterProviderApi, AsyncDisposable {
  readonly #shared: Shared;
  readonly #meters = new Map<string, Meter>();
  #shutdown: Promise<void> | undefined;

  /**
   * Returns at once, and never fails because there is no agent, or because of the environment or a resource: names that
   * cannot be an application's or a service's become the nearest that can, with a warning.
   * @throws DefinitionError for an `app` or `service` that breaks a rule, Error for a view that selects nothing
   */
  constructor(options: MeterProviderOptions = {}) {
    const { socket, poolDir, onWarning = warnOnStderr, readers = [], views = [] } = options;
    const diagnostics = new Diagnostics(onWarning);
    if (readers.length > 0) diagnostics.warn("readers of a provider are not used: the agent reads");
    const found = identityOf(options.resource, process.env, diagnostics);
    this.#shared = {
      views: views.map((view) => new View(view)),
      client: new MicroView({
        app: options.app ?? found.app,
        service: options.service ?? found.service,
        ...(socket === undefined ? {} : { socket }),
        ...(poolDir === undefined ? {} : { poolDir }),
        onWarning,
      }),
      diagnostics,
      registry: new ObservableRegistry(
        atLeastOne(options.collectIntervalMs, COLLECT_INTERVAL_MS),
        diagnostics,
      ),
      cardinalityLimit: Math.floor(atLeastOne(options.cardinalityLimit, CARDINALITY_LIMIT)),
      defaultHistogram: options.defaultHistogram ?? histogramOf(process.env, diagnostics),
      names: new Map(),
      types: new Map(),
    };
  }

  /** Resolves as {@link MicroView.ready} does: in five seconds at the latest, saying what it found. */
  get ready(): Promise<Readiness> {
    return this.#shared.client.ready;
  }

  getMeter(name: string, version?: string, options?: MeterOptions): MeterApi {
    const identity = {
      name: String(name ?? ""),
      version: String(version ?? ""),
      schemaUrl: String(options?.schemaUrl ?? ""),
    };
    const key = JSON.stringify(identity);
    let meter = this.#meters.get(key);
    if (meter === undefined) {
      if (identity.name === "") {
        this.#shared.diagnostics.warn(
          "a meter has no name: its instruments do not say what made them",
        );
      }
      meter = new Meter(this.#shared, identity);
      this.#meters.set(key, meter);
    }
    return meter;
  }

  /** Asks the observable instruments now. Nothing else has to be flushed: what was stored is read from outside. */
  async forceFlush({ timeoutMillis = FLUSH_TIMEOUT_MS }: { timeoutMillis?: number } = {}) {
    if (this.#shutdown !== undefined) {
      this.#shared.diagnostics.warn("forceFlush() comes after shutdown(), and does nothing");
      return;
    }
    await this.#shared.registry.collect(timeoutMillis);
  }

  /** Asks the observable instruments a last time and gives the pages back; instruments then count for nobody. */
  shutdown({ timeoutMillis = FLUSH_TIMEOUT_MS }: { timeoutMillis?: number } = {}): Promise<void> {
    const { registry, client } = this.#shared;
    this.#shutdown ??= registry
      .collect(timeoutMillis)
      .finally(() => registry.close())
      .then(() => client.close());
    return this.#shutdown;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }
}

function atLeastOne(given: number | undefined, fallback: number): number {
  return given !== undefined && given >= 1 ? given : fallback;
}

function histogramOf(env: Environment, diagnostics: Diagnostics): DefaultHistogram {
  const given = env[DEFAULT_HISTOGRAM]?.trim().toLowerCase() ?? "";
  const known = HISTOGRAMS.find((each) => each === given);
  if (known === undefined && given !== "") {
    diagnostics.changed(
      `${DEFAULT_HISTOGRAM} is not one of ${HISTOGRAMS.join(", ")}`,
      "it is ignored",
    );
  }
  return known ?? HISTOGRAMS[0];
}
