// Times in nanoseconds since 1970, as BigInt.

/** Later than any event. */
export const FOREVER_NS = (1n << 63n) - 1n;

export function laterOf(a: bigint, b: bigint): bigint {
  return a < b ? b : a;
}

export function earlierOf(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
