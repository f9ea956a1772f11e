// What the program has registered with OpenTelemetry's API, asked without loading it: a type is all that is imported.
// https://github.com/open-telemetry/opentelemetry-js, api/src/internal/global-utils.ts

import type { Context, ContextManager, DiagLogger } from "@opentelemetry/api";
import type { ApiError } from "../rest/index.ts";

interface Api {
  trace?: unknown;
  diag?: DiagLogger;
  context?: ContextManager;
}

const API = Symbol.for("opentelemetry.js.api.1");
const WARNINGS_MAX = 200;

function api(): Api | undefined {
  return (globalThis as Record<symbol, unknown>)[API] as Api | undefined;
}

/** What keeps contexts, where the program has registered one. */
export function contextManager(): ContextManager | undefined {
  return api()?.context;
}

/** The context of the caller, where a manager of contexts is registered. */
export function activeContext(): Context | undefined {
  return api()?.context?.active();
}

/** Tells the program's `diag` logger what it does wrong, each thing once; nobody, where it has set none. */
export class Diagnostics {
  readonly #said = new Set<string>();
  readonly #onWarning: (warning: ApiError) => void;

  /** @param onWarning is told of what is lost whole, whether there is a logger or not */
  constructor(onWarning: (warning: ApiError) => void) {
    this.#onWarning = onWarning;
  }

  warn(message: string): void {
    const logger = api()?.diag;
    // Whoever sets a logger later is told then.
    if (logger === undefined || !this.#isNew(message)) return;
    attempt(() => logger.warn(`microview: ${message}`));
  }

  /** Tells of an instrument that nobody will see. */
  lost(message: string, hint: string): void {
    if (!this.#isNew(message)) return;
    attempt(() => this.#onWarning({ code: "not-shared", message, hint }));
    attempt(() => api()?.diag?.warn(`microview: ${message} (${hint})`));
  }

  /** Reports an argument that is changed or ignored. */
  changed(message: string, instead: string): void {
    if (!this.#isNew(message)) return;
    attempt(() => this.#onWarning({ code: "changed", message, hint: instead }));
    attempt(() => api()?.diag?.warn(`microview: ${message}: ${instead}`));
  }

  #isNew(message: string): boolean {
    if (this.#said.has(message) || this.#said.size >= WARNINGS_MAX) return false;
    this.#said.add(message);
    return true;
  }
}

/** Calls what is the program's: an error of it is no reason to let a measurement fail. */
function attempt(call: () => void): void {
  try {
    call();
  } catch {
    // There is nobody to tell.
  }
}

/** A text for anything, as for what was thrown, or given in place of a number. */
export function shortText(value: unknown): string {
  try {
    return String(value).slice(0, 300);
  } catch {
    return "something that is no text";
  }
}
