// Keeps counting and auditing from failing what is counted: an answer stays as it was when boundary it throws. The fault is
// logged once, and once more when it is over.

import { type Log, Recurring } from "../guard/index.ts";

export class ErrorBoundary {
  readonly #faults: Recurring;

  constructor(log: Log) {
    this.#faults = new Recurring(
      log,
      "what the agent does is not noted",
      "what the agent does is noted again",
    );
  }

  /**
   * The same function, without ever throwing.
   * @param what it notes
   */
  safely<A extends unknown[]>(what: string, note: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        this.#faults.attempt(what, () => note(...args), { what });
      } catch {
        // The log itself fails: there is nobody left to tell.
      }
    };
  }
}
