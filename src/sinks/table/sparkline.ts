// The course of a value as one line of block characters.

const BLOCKS = "▁▂▃▄▅▆▇█";

/**
 * One block per value, oldest first; NaN is a space.
 * @param fromZero whether the lowest block is zero (rates) or the lowest value (gauges)
 */
export function sparkline(values: readonly number[], fromZero: boolean): string {
  let low = fromZero ? 0 : Number.POSITIVE_INFINITY;
  let high = fromZero ? 0 : Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const step = (high - low) / (BLOCKS.length - 1);
  let line = "";
  for (const value of values) {
    if (!Number.isFinite(value)) line += " ";
    else line += BLOCKS[step > 0 ? Math.round((value - low) / step) : 0] ?? " ";
  }
  return line;
}
