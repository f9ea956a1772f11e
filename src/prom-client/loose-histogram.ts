// A histogram in private memory that takes any bounds, in any order, as prom-client does: what a pool refuses goes here.

import { Histogram } from "../client/index.ts";

export class LooseHistogram extends Histogram {
  readonly #bounds: readonly number[];
  /** Observations by bound. A bound that stands twice is one. */
  readonly #counts = new Map<number, number>();
  #count = 0;
  #sum = 0;

  /** @param from counts per bound and beyond, and the sum, to begin with */
  constructor(bounds: readonly number[], from?: [counts: ArrayLike<number>, sum: number]) {
    super(new Float64Array(), 0);
    this.#bounds = bounds;
    for (const bound of bounds) this.#counts.set(bound, 0);
    if (from === undefined) return;
    const [counts, sum] = from;
    for (let i = 0; i < counts.length; i++) {
      if (i < bounds.length) this.#counts.set(bounds[i]!, counts[i]!);
      this.#count += counts[i]!;
    }
    this.#sum = sum;
  }

  override observe(value: number): void {
    this.#count += 1;
    this.#sum += value;
    for (const bound of this.#bounds) {
      if (value <= bound) {
        this.#counts.set(bound, this.#counts.get(bound)! + 1);
        return;
      }
    }
  }

  override get count(): number {
    return this.#count;
  }

  override get sum(): number {
    return this.#sum;
  }

  /** Observations per bound, and beyond the last one. */
  counts(bounds: readonly number[]): number[] {
    const counts = bounds.map((bound) => this.#counts.get(bound)!);
    return [...counts, this.#count - counts.reduce((sum, count) => sum + count, 0)];
  }

  clear(): void {
    for (const bound of this.#counts.keys()) this.#counts.set(bound, 0);
    this.#count = 0;
    this.#sum = 0;
  }
}
