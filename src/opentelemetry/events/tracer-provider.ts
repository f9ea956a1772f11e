// The TracerProvider that a program registers with OpenTelemetry's API: `trace.setGlobalTracerProvider(…)`.

import type {
  Tracer as TracerApi,
  TracerOptions,
  TracerProvider as TracerProviderApi,
} from "@opentelemetry/api";
import { NAMES_MAX } from "../../client/index.ts";
import { type EventsProviderOptions, type ProviderClient, providerClient } from "./client.ts";
import { type Limits, limitsOf, type SpanLimits } from "./limits.ts";
import { Tracer } from "./tracer.ts";

export type TracerProviderOptions = EventsProviderOptions & {
  spanLimits?: SpanLimits;
  /** Taken so that a changed import is enough, and not used: the agent is what ships. */
  spanProcessors?: readonly unknown[];
  /** Likewise: which traces are kept is `events: { sample }`, and what operators ask for. */
  sampler?: unknown;
};

/** Spans of OpenTelemetry's API in the ring of this thread. */
export class TracerProvider implements TracerProviderApi, AsyncDisposable {
  readonly #client: ProviderClient;
  readonly #limits: Limits;
  readonly #tracers = new Map<string, Tracer>();
  #shutdown: Promise<void> | undefined;

  /**
   * Returns at once, and never fails because of the environment or a resource.
   * @throws DefinitionError for an `app` or `service` that breaks a rule
   */
  constructor(options: TracerProviderOptions = {}) {
    this.#client = providerClient(options);
    this.#limits = limitsOf(options.spanLimits, process.env);
    const { diagnostics } = this.#client;
    if ((options.spanProcessors?.length ?? 0) > 0) {
      diagnostics.warn("span processors of a provider are not used: the agent ships spans");
    }
    if (options.sampler !== undefined) {
      diagnostics.warn("the sampler of a provider is not used: `events: { sample }` is");
    }
  }

  /** @param version is not recorded */
  getTracer(name: string, _version?: string, _options?: TracerOptions): TracerApi {
    const scope = String(name ?? "");
    let tracer = this.#tracers.get(scope);
    if (tracer === undefined) {
      const { recorder } = this.#client.mv;
      if (this.#tracers.size >= NAMES_MAX) return new Tracer(recorder, this.#limits, scope, 0);
      tracer = new Tracer(recorder, this.#limits, scope);
      this.#tracers.set(scope, tracer);
    }
    return tracer;
  }

  /** Nothing has to be flushed: what was recorded is read from outside. */
  async forceFlush(): Promise<void> {}

  /** Lets go of the ring, if it was made here. What is recorded from then on is seen by nobody. */
  shutdown(): Promise<void> {
    this.#shutdown ??= this.#client.close();
    return this.#shutdown;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }
}
