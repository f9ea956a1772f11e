// How many queries run at once, and how many wait for their turn. Used by runner.ts.

import { QueryError } from "./query-error.ts";

export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  readonly #queue: number;

  constructor(slots: number, queue: number) {
    this.#free = slots;
    this.#queue = queue;
  }

  /**
   * Waits for a turn.
   * @returns what gives it back; it may be called again
   * @throws QueryError when too many wait already
   */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= this.#queue) throw tooMany(this.#waiting.length);
    return new Promise((resolve, reject) => {
      const turn = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        reject(signal.reason);
      };
      this.#waiting.push(turn);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}

function tooMany(waiting: number): QueryError {
  return new QueryError(
    "too-many-queries",
    `${waiting} queries wait already`,
    "try again in a moment",
    429,
  );
}
