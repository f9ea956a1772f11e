// Change per second between two snapshots.

/** Keeps the time of a pool's last snapshot; see {@link rateOf} for the values. */
export class Pace {
  #lastNs = Number.NaN;

  /** Seconds since the snapshot before; NaN at the first. */
  step(monotonicNs: number): number {
    const seconds = (monotonicNs - this.#lastNs) / 1e9;
    this.#lastNs = monotonicNs;
    return seconds > 0 ? seconds : Number.NaN;
  }
}

/** NaN when there is no value before, or when the value went back because the total was reset. */
export function rateOf(now: number, before: number, seconds: number): number {
  const rate = (now - before) / seconds;
  return rate >= 0 ? rate : Number.NaN;
}

/** Whether a total was reset since the snapshot before: otherwise it only grows. */
export function wentBack(now: number, before: number): boolean {
  return now < before;
}

/** Rounds a rate to the digits that are more than noise. */
export function roundRate(rate: number): number {
  return rate >= 1 ? Math.round(rate * 1000) / 1000 : Number(rate.toPrecision(4));
}

/** Rounds a quantile to the digits that its buckets can give. */
export function roundEstimate(value: number): number {
  return Number(value.toPrecision(6));
}
