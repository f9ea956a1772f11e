// The MeterProvider that a program registers with OpenTelemetry's API: `metrics.setGlobalMeterProvider(…)`.

import type {
  Meter as MeterApi,
  MeterOptions,
  MeterProvider as MeterProviderApi,
} from "@opentelemetry/api";
import { MicroView, type MicroViewOptions } from "../client/index.ts";
import type { ApiError } from "../layout/index.ts";
import { type DefaultHistogram, HISTOGRAMS } from "./aggregation.ts";
import { Diagnostics } from "./api.ts";
import { Meter, type Shared } from "./meter.ts";
import { ObservableRegistry } from "./observables.ts";
import { View, type ViewOptions } from "./views.ts";

export interface MeterProviderOptions extends Partial<MicroViewOptions> {
  /** Gives `service.name` and `service.namespace`, where `service` and `app` are not given. Nothing else of it is kept. */
  resource?: { attributes: Readonly<Record<string, unknown>> };
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

const COLLECT_INTERVAL_MS = 10_000;
const CARDINALITY_LIMIT = 2000;
const FLUSH_TIMEOUT_MS = 30_000;

export class MeterProvider implements MeterProviderApi, AsyncDisposable {
  readonly #shared: Shared;
  readonly #meters = new Map<string, Meter>();
  #shutdown: Promise<void> | undefined;

  /**
   * Returns at once, and never fails for want of an agent.
   * @throws DefinitionError for names of application or service that break a rule, Error for a view that selects nothing
   */
  constructor(options: MeterProviderOptions = {}) {
    const { socket, poolDir, onWarning = warnOnStderr, readers = [], views = [] } = options;
    const diagnostics = new Diagnostics(onWarning);
    if (readers.length > 0) diagnostics.warn("readers of a provider are not used: the agent reads");
    this.#shared = {
      views: views.map((view) => new View(view)),
      client: new MicroView({
        app: options.app ?? appOf(options),
        service: options.service ?? serviceOf(options),
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
      defaultHistogram: options.defaultHistogram ?? histogramOf(process.env),
      names: new Map(),
      types: new Map(),
    };
  }

  /** Resolves when the series made so far have their places in the pool; never, while there is no agent. */
  get ready(): Promise<void> {
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

function warnOnStderr({ message, hint }: ApiError): void {
  process.stderr.write(`microview: ${message}${hint ? ` (${hint})` : ""}\n`);
}

function atLeastOne(given: number | undefined, fallback: number): number {
  return given !== undefined && given >= 1 ? given : fallback;
}

function appOf({ resource }: MeterProviderOptions): string {
  const environment = environmentResource(process.env["OTEL_RESOURCE_ATTRIBUTES"]);
  return (
    text(resource?.attributes["service.namespace"]) ??
    text(process.env["MICROVIEW_APP"]) ??
    environment.get("service.namespace") ??
    "default"
  );
}

/** As the specification names a service that nobody names. */
function serviceOf({ resource }: MeterProviderOptions): string {
  const environment = environmentResource(process.env["OTEL_RESOURCE_ATTRIBUTES"]);
  return (
    text(resource?.attributes["service.name"]) ??
    text(process.env["OTEL_SERVICE_NAME"]) ??
    text(process.env["MICROVIEW_SERVICE"]) ??
    environment.get("service.name") ??
    "unknown_service:bun"
  );
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** `key=value,…`, percent-encoded; nothing of one that cannot be read, as the specification asks. */
function environmentResource(given = ""): ReadonlyMap<string, string> {
  const pairs = given.split(",").map((pair) => pair.split("=", 2).map((part) => part.trim()));
  try {
    const decoded = pairs.map(
      ([key = "", value = ""]) => [key, decodeURIComponent(value)] as const,
    );
    return new Map(decoded.filter(([, value]) => value !== ""));
  } catch {
    return new Map();
  }
}

function histogramOf(env: Readonly<Record<string, string | undefined>>): DefaultHistogram {
  const given = env["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"]?.toLowerCase();
  return HISTOGRAMS.find((each) => each === given) ?? HISTOGRAMS[0];
}
