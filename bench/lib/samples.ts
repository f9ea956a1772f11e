// Samples of rounds, and what is said of them.

/** Confidence level of the intervals in reports. */
export const CONFIDENCE = 0.95;
const RESAMPLES = 2000;

/** One figure per round. */
export type Samples = readonly number[];

/** Median, quartiles and extremes of samples. */
export class Spread {
  readonly #sorted: Float64Array;

  /** @throws Error when there is nothing, or something that is no number */
  constructor(samples: Samples) {
    if (samples.length === 0) throw new Error("nothing was measured");
    if (!samples.every(Number.isFinite)) throw new Error(`measured what is no number: ${samples}`);
    this.#sorted = Float64Array.from(samples).sort();
  }

  get min(): number {
    return this.#sorted[0]!;
  }

  get q1(): number {
    return this.quantile(0.25);
  }

  get median(): number {
    return this.quantile(0.5);
  }

  get q3(): number {
    return this.quantile(0.75);
  }

  get max(): number {
    return this.#sorted.at(-1)!;
  }

  /** Interpolated between neighbours. */
  quantile(q: number): number {
    const at = q * (this.#sorted.length - 1);
    const low = this.#sorted[Math.floor(at)]!;
    const high = this.#sorted[Math.ceil(at)]!;
    return low + (high - low) * (at - Math.floor(at));
  }
}

export function median(samples: Samples): number {
  return new Spread(samples).median;
}

/** Random numbers from 0 to 1 that are the same in each run (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Of the median, by the percentile bootstrap (Efron, Tibshirani 1993, "An Introduction to the Bootstrap", ch. 13). */
export function confidenceInterval(samples: Samples): [number, number] {
  const random = seededRandom(1);
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(samples.map(() => samples[Math.floor(random() * samples.length)]!)),
  );
  const spread = new Spread(medians);
  const tail = (1 - CONFIDENCE) / 2;
  return [spread.quantile(tail), spread.quantile(1 - tail)];
}
