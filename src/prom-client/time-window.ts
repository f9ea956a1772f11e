// The quantiles of a summary's last `maxAgeSeconds`: a ring of digests that all take every value, of which the oldest is
// read, and emptied when its time is over.

import { Digest } from "./digest.ts";

export class TimeWindow {
  readonly #ring: Digest[];
  readonly #turnMs: number;
  #oldest = 0;
  #turnedAtMs = Date.now();

  /** @param maxAgeSeconds without it, or without `ageBuckets`, nothing grows old */
  constructor(maxAgeSeconds?: number, ageBuckets?: number) {
    const turns = maxAgeSeconds && ageBuckets;
    // As in prom-client one digest is in every place at first: values of the first turns weigh more until it has gone.
    this.#ring = new Array<Digest>(turns ? ageBuckets : 1).fill(new Digest());
    this.#turnMs = turns ? (maxAgeSeconds * 1000) / ageBuckets : Number.POSITIVE_INFINITY;
  }

  push(value: number): void {
    this.#turn();
    for (const digest of this.#ring) digest.push(value);
  }

  percentile(p: number): number | undefined {
    return this.#turn().percentile(p);
  }

  /** How many different values there are, about. */
  size(): number {
    return this.#turn().size();
  }

  compress(): void {
    for (const digest of this.#ring) digest.compress();
  }

  reset(): void {
    for (const digest of this.#ring) digest.reset();
  }

  #turn(): Digest {
    if (this.#turnMs !== Number.POSITIVE_INFINITY) {
      for (let ageMs = Date.now() - this.#turnedAtMs; ageMs > this.#turnMs; ageMs -= this.#turnMs) {
        this.#ring[this.#oldest] = new Digest();
        this.#oldest = (this.#oldest + 1) % this.#ring.length;
        this.#turnedAtMs += this.#turnMs;
      }
    }
    return this.#ring[this.#oldest]!;
  }
}
