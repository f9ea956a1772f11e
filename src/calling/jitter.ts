// Pauses before trying again, for all who wait for somebody else.

/** A time that is up to a quarter longer or shorter, by chance: who failed together should not come back together. */
export function jittered(ms: number): number {
  return ms * (0.75 + Math.random() / 2);
}
