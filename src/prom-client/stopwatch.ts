// Timers of gauges, histograms and summaries.

/** Starts a stopwatch. What it returns stops it, hands over the seconds with what it was given, and gives them. */
export function stopwatch<Given extends unknown[]>(
  end: (seconds: number, ...given: Given) => void,
): (...given: Given) => number {
  // The clock that prom-client reads, so that tests which move it find the same.
  const start = process.hrtime();
  return (...given) => {
    const [seconds, nanoseconds] = process.hrtime(start);
    const took = seconds + nanoseconds / 1e9;
    end(took, ...given);
    return took;
  };
}
