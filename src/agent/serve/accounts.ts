// What the agent notes about its work: numbers, and lines about calls. When noting fails, that is logged once, and
// whatever was noted stays as it was: an answer that was good is given.

import type { Log } from "../../guard/index.ts";
import { Recurring } from "../recurring.ts";

export class Accounts {
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
  guard<A extends unknown[]>(what: string, note: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        this.#faults.attempt(what, () => note(...args), { what });
      } catch {
        // The log itself fails: there is nobody left to tell.
      }
    };
  }
}
