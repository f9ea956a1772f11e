// Times as blocks have them.

/** Milliseconds of Unix time as nanoseconds in decimal. */
export function nsOf(unixMs: number): string {
  return String(BigInt(Math.round(unixMs * 1000)) * 1000n);
}
