// A counter: goes up, by a store into its slot.

import { Cell } from "./cells.ts";

export class Counter extends Cell {
  /**
   * Adds to the counter.
   * @throws TypeError for what is not a number, RangeError for a negative or infinite one
   */
  inc(n = 1): void {
    if (n >= 0 && n <= Number.MAX_VALUE && typeof n === "number") this.values[this.at]! += n;
    else refuse(n);
  }

  /** What this thread has counted. */
  get value(): number {
    return this.values[this.at]!;
  }
}

function refuse(n: unknown): never {
  if (typeof n !== "number" || Number.isNaN(n)) {
    throw new TypeError(`a counter goes up by a number, got ${String(n)}`);
  }
  throw new RangeError(
    `a counter goes up by a finite amount, got ${n}: use a gauge for what goes down`,
  );
}
