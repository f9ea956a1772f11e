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

/** NaN when there is nothing before, or when the value went back, as that of a pool that began anew. */
export function rateOf(now: number, before: number, seconds: number): number {
  const rate = (now - before) / seconds;
  return rate >= 0 ? rate : Number.NaN;
}

/** Whether a total began anew since the snapshot before: it only grows otherwise. */
export function wentBack(now: number, before: number): boolean {
  return now < before;
}

/** A rate without digits that only noise has put there. */
export function roundRate(rate: number): number {
  return rate >= 1 ? Math.round(rate * 1000) / 1000 : Number(rate.toPrecision(4));
}

/** A quantile without digits that its buckets cannot give. */
export function roundEstimate(value: number): number {
  return Number(value.toPrecision(6));
}
