// Logs a repeated failure only when it begins, when its reason changes, and when it ends, with the number of
// failures. For work that a timer repeats.

import { CallError } from "./errors.ts";
import type { Log } from "./log.ts";

/** Failures that are remembered. Beyond that, new ones are not logged until some have ended. */
const FAILING_MAX = 1_000;

export class Recurring {
  readonly #failing = new Map<string, { identity: string; reason: string; times: number }>();

  constructor(
    readonly log: Log,
    /** E.g. "a scan failed". */
    readonly message: string,
    /** E.g. "scans work again". */
    readonly over: string,
    readonly level: "error" | "warn" = "error",
  ) {}

  /**
   * Runs something, and logs what it throws unless that is logged already.
   * @param what the object of the attempt, e.g. an application; each has a state of its own
   */
  attempt(what: string, run: () => void, fields: Record<string, unknown> = {}): void {
    try {
      run();
    } catch (error) {
      const reason = (error as Error)?.message ?? String(error);
      const identity = error instanceof CallError ? error.code : reason;
      return this.failed(what, reason, fields, identity);
    }
    this.worked(what, fields);
  }

  /** @param identity tells reasons apart whose texts have changing numbers */
  failed(
    what: string,
    reason: string,
    fields: Record<string, unknown> = {},
    identity: string = reason,
  ): void {
    const known = this.#failing.get(what);
    if (known?.identity === identity) {
      known.times++;
      return;
    }
    if (known === undefined && this.#failing.size >= FAILING_MAX) return;
    this.#failing.set(what, { identity, reason, times: 1 });
    const before = known === undefined ? {} : { before: known.reason, times: known.times };
    this.log[this.level](this.message, { ...fields, reason, ...before });
  }

  worked(what: string, fields: Record<string, unknown> = {}): void {
    const known = this.#failing.get(what);
    if (known === undefined) return;
    this.#failing.delete(what);
    this.log.info(this.over, { ...fields, was: known.reason, times: known.times });
  }
}
