// Times as OpenTelemetry's API takes them: milliseconds of Unix time or of performance.now(), dates, and pairs of seconds
// and nanoseconds.

const NS_PER_S = 1_000_000_000n;
const NS_PER_MS = 1e6;

/** A time in Unix nanoseconds, as decimal text: no number has room for it. Undefined for what is no time. */
export function unixNs(time: unknown): string | undefined {
  try {
    if (Array.isArray(time)) {
      const [seconds, nanoseconds] = time as [number, number];
      return (BigInt(seconds) * NS_PER_S + BigInt(Math.trunc(nanoseconds))).toString();
    }
    if (time instanceof Date) return msToNs(time.getTime());
    if (typeof time !== "number") return undefined;
    // What is less than the time of the start is counted from there.
    return msToNs(time < performance.timeOrigin ? performance.timeOrigin + time : time);
  } catch {
    // No whole number, or none at all.
    return undefined;
  }
}

function msToNs(ms: number): string {
  const whole = Math.trunc(ms);
  return (BigInt(whole) * 1_000_000n + BigInt(Math.round((ms - whole) * NS_PER_MS))).toString();
}
