// Log-linear histograms as exponential ones, as OTLP has them.
//
// A log-linear histogram cuts each power of two into n = 2^subBits equal parts, an exponential one of scale s into 2^s
// parts of equal ratio. With s = subBits both have n, and each bucket [a, b) goes as a whole into that which holds its
// harmonic middle m = 2ab/(a + b). Counts and sum stay exact. A value v of the bucket lies at most 1/(2n + 1) from m,
// in proportion to itself; the middle of the exponential bucket, by ratio, lies within a factor of 2^(1/(2n)) of m. So
// a value that is read back is off by at most (1 + 1/(2n + 1)) · 2^(1/(2n)) − 1: 10.6 % for n = 8, the default.

import { type LogLinearShape, logLinearBounds } from "../../layout/index.ts";

export interface ExponentialMap {
  scale: number;
  /** What lies at or below is counted as zero: the underflow. */
  zeroThreshold: number;
  /** Index of the exponential bucket of each bucket, the overflow's last. */
  targets: Int32Array;
}

/** The greatest relative error of a value that is read back from the middle of its exponential bucket. */
export function exponentialError({ subBits }: LogLinearShape): number {
  const n = 2 ** subBits;
  return (1 + 1 / (2 * n + 1)) * 2 ** (1 / (2 * n)) - 1;
}

export function exponentialMap(shape: LogLinearShape): ExponentialMap {
  const bounds = logLinearBounds(shape);
  const parts = 2 ** shape.subBits;
  // Bucket i of the scale holds what is greater than 2^(i / parts), up to 2^((i + 1) / parts).
  const indexOf = (value: number) => Math.ceil(Math.log2(value) * parts) - 1;
  const targets = new Int32Array(shape.buckets + 1);
  for (let i = 0; i < shape.buckets; i++) {
    const [a, b] = [bounds[i]!, bounds[i + 1]!];
    targets[i] = indexOf(a / (0.5 + a / b / 2));
  }
  targets[shape.buckets] = targets[shape.buckets - 1]! + 1;
  return { scale: shape.subBits, zeroThreshold: bounds[0]!, targets };
}

/** A count as whole number: services write what they like. */
export function wholeCount(value: number): number {
  return value > 0 && value <= Number.MAX_SAFE_INTEGER ? Math.round(value) : 0;
}

/** Puts counts, the underflow first and the overflow last, into exponential buckets from the first that has any. */
export function toExponential(
  { targets }: Pick<ExponentialMap, "targets">,
  slots: Float64Array,
  at: number,
): { zeroCount: number; count: number; offset: number; counts: Float64Array } {
  const zeroCount = wholeCount(slots[at]!);
  // Most are zero, and going over them is most of the work.
  let first = 0;
  while (first < targets.length && slots[at + 1 + first] === 0) first++;
  if (first === targets.length) {
    return { zeroCount, count: zeroCount, offset: 0, counts: new Float64Array() };
  }
  let last = targets.length - 1;
  while (slots[at + 1 + last] === 0) last--;
  const offset = targets[first]!;
  const counts = new Float64Array(targets[last]! - offset + 1);
  let count = zeroCount;
  for (let i = first; i <= last; i++) {
    const more = wholeCount(slots[at + 1 + i]!);
    counts[targets[i]! - offset]! += more;
    count += more;
  }
  return { zeroCount, count, offset, counts };
}
