// What the program has registered with OpenTelemetry's API, asked without loading it: a type is all that is imported.
// https://github.com/open-telemetry/opentelemetry-js, api/src/internal/global-utils.ts

import type { Context, ContextManager, DiagLogger } from "@opentelemetry/api";

interface Api {
  diag?: DiagLogger;
  context?: ContextManager;
}

const API = Symbol.for("opentelemetry.js.api.1");
const WARNINGS_MAX = 200;

function api(): Api | undefined {
  return (globalThis as Record<symbol, unknown>)[API] as Api | undefined;
}

/** The context of the caller, where a manager of contexts is registered. */
export function activeContext(): Context | undefined {
  return api()?.context?.active();
}

/** Tells the program's `diag` logger what it does wrong, each thing once; nobody, where it has set none. */
export class Diagnostics {
  readonly #said = new Set<string>();

  warn(message: string): void {
    const logger = api()?.diag;
    // Whoever sets a logger later is told then.
    if (logger === undefined || this.#said.has(message) || this.#said.size >= WARNINGS_MAX) return;
    this.#said.add(message);
    try {
      logger.warn(`microview: ${message}`);
    } catch {
      // A logger of the program's: what it throws is no reason to let a measurement fail.
    }
  }
}
