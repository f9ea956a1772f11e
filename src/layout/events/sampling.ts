// Which traces are kept, by their ids: once for each trace, and in the same way by all that know its id.

/** As many as there are values of the word that decides. */
const WHOLE = 2 ** 32;

/**
 * The threshold of a share, for {@link isSampled}. 0 keeps nothing; what an operator asks for keeps one at least, because
 * there 0 says that nothing was asked for.
 * @param share from 0 to 1
 */
export function sampleThreshold(share: number): number {
  const threshold = Math.round(share * WHOLE);
  return share > 0 ? Math.min(WHOLE - 1, Math.max(1, threshold)) : 0;
}

/**
 * Whether a trace is kept.
 * @param low the last four bytes of its id, the first of them the most significant, of either sign
 * @param threshold all of its bits set keep every trace
 */
export function isSampled(low: number, threshold: number): boolean {
  return threshold === WHOLE - 1 || low >>> 0 < threshold;
}
