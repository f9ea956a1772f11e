// Bucket arithmetic of both histogram kinds: where a value goes, what a bucket's bounds are, and quantiles.
// The client inlines `index`; readers use bounds and quantiles.

import { LIMITS } from "../constants.ts";

/** prom-client's and Prometheus's default bounds, in seconds. */
export const DEFAULT_BOUNDS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Options of a log-linear histogram. */
export interface LogLinearOptions {
  /** Smallest value told apart; what is below goes to the underflow bucket. By default it goes by the unit: 1 µs. */
  min?: number;
  /** Largest value told apart; what is above goes to the overflow bucket. By default it goes by the unit: 1000 s. */
  max?: number;
  /** Greatest relative error of a value that is read back from its bucket. Default 0.0625, of units that are not known 0.125. */
  error?: number;
}

/**
 * A log-linear histogram: each power of two is cut into 2^subBits equal parts.
 * The bucket of a double is read off its bits, as HdrHistogram and DDSketch's cubic-free variant do:
 * exponent and leading mantissa bits, shifted right by `shift`, are a monotonic integer.
 *
 * Slots of a series: [underflow, bucket 0 … buckets − 1, overflow, sum].
 */
export interface LogLinearShape {
  min: number;
  max: number;
  error: number;
  subBits: number;
  /** Bits of the upper word that are dropped: 20 − subBits. */
  shift: number;
  /** The shifted upper word of `min`. */
  base: number;
  buckets: number;
}

const scratchF64 = new Float64Array(1);
const scratchI32 = new Int32Array(scratchF64.buffer);

function upperWord(value: number): number {
  scratchF64[0] = value;
  return scratchI32[1]!;
}

function fromUpperWord(word: number): number {
  scratchI32[0] = 0;
  scratchI32[1] = word;
  return scratchF64[0]!;
}

/**
 * @throws RangeError when the options contradict each other or need more slots than a page has
 */
export function logLinearShape(options: LogLinearOptions = {}): LogLinearShape {
  const { min = 1e-6, max = 1e3, error = 0.0625 } = options;
  if (!(min > 2.3e-308 && max < 1.7e308 && min < max)) {
    throw new RangeError(
      `a log-linear histogram needs 0 < min < max, both finite; got min ${min}, max ${max}`,
    );
  }
  if (!(error >= 0.0005 && error <= 0.35)) {
    throw new RangeError(`the error of a histogram is from 0.0005 to 0.35; got ${error}`);
  }
  // A bucket [a, a(1 + 1/n)] is read back as 2ab/(a+b), which is off by at most 1/(2n + 1).
  let subBits = 0;
  while (1 / (2 * 2 ** subBits + 1) > error) subBits++;
  const shift = 20 - subBits;
  const base = upperWord(min) >> shift;
  const buckets = (upperWord(max) >> shift) - base + 1;
  if (buckets + 3 > LIMITS.slotsPerSeries) {
    throw new RangeError(
      `a histogram from ${min} to ${max} with an error of ${error} needs ${buckets + 3} slots, ` +
        `a series has at most ${LIMITS.slotsPerSeries}: allow a greater error or a narrower range`,
    );
  }
  return { min, max, error, subBits, shift, base, buckets };
}

/**
 * Slot of a value within its series: 0 is underflow (also zero and negatives), buckets + 1 overflow. The definition: the
 * client has it inlined.
 */
export function logLinearIndex(shape: LogLinearShape, value: number): number {
  const index = (upperWord(value) >> shape.shift) - shape.base + 1;
  if (index < 0) return 0;
  return index > shape.buckets ? shape.buckets + 1 : index;
}

/** Lower bound of each bucket and, last, the upper bound of the last one: buckets + 1 numbers. */
export function logLinearBounds(shape: LogLinearShape): Float64Array {
  const bounds = new Float64Array(shape.buckets + 1);
  for (let i = 0; i <= shape.buckets; i++) {
    bounds[i] = fromUpperWord((shape.base + i) << shape.shift);
  }
  return bounds;
}

/**
 * The value below which a share `q` of the observations lies, from bucket counts.
 *
 * @param q share from 0 to 1
 * @param counts observations per bucket; bucket i spans `upper[i − 1]` to `upper[i]`
 * @param upper upper bound of each bucket, ascending; the last may be +Infinity
 * @param lowest lower bound of bucket 0
 * @param geometric how a rank inside a bucket becomes a value: false interpolates linearly, as Prometheus's
 *   `histogram_quantile`; true takes the value that halves the relative error (harmonic middle)
 * @returns NaN when there are no observations, or no more than one bucket, of which nothing can be told
 */
export function bucketQuantile(
  q: number,
  counts: ArrayLike<number>,
  upper: ArrayLike<number>,
  lowest: number,
  geometric: boolean,
): number {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i]!;
  if (!(total > 0) || counts.length < 2) return Number.NaN;
  const rank = Math.min(Math.max(q, 0), 1) * total;
  let seen = 0;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i]!;
    seen += count;
    if (seen < rank || count === 0) continue;
    const low = i === 0 ? lowest : upper[i - 1]!;
    const high = upper[i]!;
    // Nothing is known of what lies beyond the last bound, so its start is the honest answer.
    if (high === Number.POSITIVE_INFINITY) return low;
    if (geometric) return low > 0 ? (2 * low * high) / (low + high) : high;
    return low + (high - low) * ((rank - (seen - count)) / count);
  }
  return upper[upper.length - 1]!;
}
