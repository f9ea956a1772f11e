// The MeterProvider that a program registers with OpenTelemetry's API: `metrics.setGlobalMeterProvider(…)`.

import type {
  Meter as MeterApi,
  MeterOptions,
  MeterProvider as MeterProviderApi,
} from "@opentelemetry/api";
import { MicroView, type MicroViewOptions, type Readiness, warnOnStderr } from "../client/index.ts";
import { nearestAppName, nearestServiceName } from "../layout/index.ts";
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

const RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES";
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
    const found = identityOf(options, process.env, diagnostics);
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

type Environment = Readonly<Record<string, string | undefined>>;

/** Whose metrics these are, where the program does not say: by the resource that it gives, and by its environment. */
function identityOf(
  { resource }: MeterProviderOptions,
  env: Environment,
  diagnostics: Diagnostics,
): { app: string; service: string } {
  const attributes = environmentResource(env[RESOURCE_ATTRIBUTES], diagnostics);
  const first = (
    what: string,
    nearest: (text: string) => string | undefined,
    places: readonly (readonly [place: string, value: unknown])[],
  ): string | undefined => {
    for (const [place, value] of places) {
      if (typeof value !== "string" || value.trim() === "") continue;
      const name = nearest(value);
      if (name === value) return name;
      const said = `${JSON.stringify(value.slice(0, 80))} of ${place} cannot be the name of ${what}`;
      if (name !== undefined) {
        diagnostics.changed(said, `${JSON.stringify(name)} is used`);
        return name;
      }
      diagnostics.changed(said, "it is ignored");
    }
    return undefined;
  };
  const app = first("an application", nearestAppName, [
    ["the resource's service.namespace", resource?.attributes["service.namespace"]],
    ["MICROVIEW_APP", env["MICROVIEW_APP"]],
    [RESOURCE_ATTRIBUTES, attributes.get("service.namespace")],
  ]);
  // As the specification names a service that nobody names.
  const service = first("a service", nearestServiceName, [
    ["the resource's service.name", resource?.attributes["service.name"]],
    ["OTEL_SERVICE_NAME", env["OTEL_SERVICE_NAME"]],
    ["MICROVIEW_SERVICE", env["MICROVIEW_SERVICE"]],
    [RESOURCE_ATTRIBUTES, attributes.get("service.name")],
  ]);
  return { app: app ?? "default", service: service ?? "unknown_service:bun" };
}

/** `key=value,…`, percent-encoded; nothing of one that cannot be read, as the specification asks. */
function environmentResource(given = "", diagnostics: Diagnostics): ReadonlyMap<string, string> {
  const pairs = given.split(",").map((pair) => {
    const [, key = "", value = ""] = /^([^=]*)=?(.*)$/s.exec(pair) ?? [];
    return [key.trim(), value.trim()] as const;
  });
  try {
    const decoded = pairs.map(([key, value]) => [key, decodeURIComponent(value)] as const);
    return new Map(decoded.filter(([, value]) => value !== ""));
  } catch {
    diagnostics.changed(
      `${RESOURCE_ATTRIBUTES} is not percent-encoded as it should be`,
      "it is ignored",
    );
    return new Map();
  }
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
