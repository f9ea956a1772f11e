// The last seconds of every series at full resolution, in bounded memory: a ring of value rows per pool.
// Ask it for rates, differences and quantiles over any window that it holds.

import {
  HistogramSlots,
  type Metric,
  type PoolSnapshot,
  poolKey,
  type Structure,
} from "../layout/index.ts";

const DEFAULT_MAX_BYTES = 256 << 20;

export interface HistoryOptions {
  /** How far back it goes. */
  spanMs: number;
  /** Bytes for all pools together; where the span would take more, it goes less far back. Default 256 MiB. */
  maxBytes?: number;
}

/** Names a series. */
export interface SeriesName {
  source?: string;
  app: string;
  service: string;
  metric: string;
  labels?: Readonly<Record<string, string>>;
}

interface Row {
  monotonicNs: number;
  takenAtMs: number;
  /** Whether snapshots are missing before this one. */
  gap: boolean;
  values: Float64Array;
}

interface PoolHistory {
  source: string;
  app: string;
  structure: Structure;
  rows: Row[];
  /** Index of the oldest row: rows before it are spent. */
  first: number;
  bytes: number;
}

export class History {
  readonly #spanNs: number;
  readonly #maxBytes: number;
  readonly #pools = new Map<string, PoolHistory>();
  #bytes = 0;

  constructor({ spanMs, maxBytes = DEFAULT_MAX_BYTES }: HistoryOptions) {
    this.#spanNs = spanMs * 1e6;
    this.#maxBytes = maxBytes;
  }

  /** Bytes of values that are kept now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes in a snapshot; its values are copied. */
  add(snapshot: PoolSnapshot): void {
    const key = poolKey(snapshot);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      this.#forget(snapshot.monotonicNs - this.#spanNs);
      const { source, app, structure } = snapshot;
      pool = { source, app, structure, rows: [], first: 0, bytes: 0 };
      this.#pools.set(key, pool);
    } else if (!snapshot.structure.continues(pool.structure)) {
      this.#grow(pool, renumber(pool, snapshot.structure));
    }
    pool.structure = snapshot.structure;
    const { monotonicNs, takenAtMs, gap, missed } = snapshot;
    const values = snapshot.values.slice();
    pool.rows.push({ monotonicNs, takenAtMs, gap: gap !== undefined || missed > 0, values });
    this.#grow(pool, values.byteLength);
    while (monotonicNs - pool.rows[pool.first]!.monotonicNs > this.#spanNs) this.#dropOldest(pool);
    while (this.#bytes > this.#maxBytes && this.#dropFromLargest());
  }

  /** How far back a series' pool is held, in ms; 0 when nothing is known of it. */
  heldMs(name: SeriesName): number {
    const pool = this.#find(name)?.pool;
    if (pool === undefined) return 0;
    return (pool.rows.at(-1)!.monotonicNs - pool.rows[pool.first]!.monotonicNs) / 1e6;
  }

  /** The values of a counter or gauge over a window: unix times in ms, and NaN where it was absent. */
  values(name: SeriesName, windowMs: number): { timesMs: Float64Array; values: Float64Array } {
    const found = this.#find(name);
    if (found === undefined) return { timesMs: new Float64Array(), values: new Float64Array() };
    const rows = this.#window(found.pool, windowMs);
    return {
      timesMs: Float64Array.from(rows, (row) => row.takenAtMs),
      values: Float64Array.from(rows, (row) => row.values[found.index] ?? Number.NaN),
    };
  }

  /**
   * By how much a counter went up over a window, or a gauge changed; the observations of a histogram.
   * A counter that was reset counts from zero again, as in Prometheus. NaN when fewer than two values are held.
   */
  delta(name: SeriesName, windowMs: number): number {
    const found = this.#find(name);
    if (found === undefined) return Number.NaN;
    const rows = this.#window(found.pool, windowMs);
    return rows.length < 2 ? Number.NaN : deltaOf(rows, found);
  }

  /** {@link History.delta} per second of the time that the window's values really span. */
  rate(name: SeriesName, windowMs: number): number {
    const found = this.#find(name);
    if (found === undefined) return Number.NaN;
    const rows = this.#window(found.pool, windowMs);
    if (rows.length < 2) return Number.NaN;
    const seconds = (rows.at(-1)!.monotonicNs - rows[0]!.monotonicNs) / 1e9;
    return deltaOf(rows, found) / seconds;
  }

  /**
   * A quantile of what a histogram observed in a window, or of the values that a counter or gauge had.
   * @param q share from 0 to 1
   * @returns NaN when nothing was observed
   */
  quantile(name: SeriesName, q: number, windowMs: number): number {
    const found = this.#find(name);
    if (found === undefined) return Number.NaN;
    const rows = this.#window(found.pool, windowMs);
    const { metric, index } = found;
    const { kind } = metric.definition;
    if (kind === "counter" || kind === "gauge") {
      const values = rows
        .map((row) => row.values[index] ?? Number.NaN)
        .filter((v) => !Number.isNaN(v));
      values.sort((a, b) => a - b);
      return values[Math.min(values.length - 1, Math.floor(q * values.length))] ?? Number.NaN;
    }
    const last = rows.at(-1);
    const first = rows[0];
    if (last === undefined || first === undefined) return Number.NaN;
    const before = first === last ? new Float64Array() : first.values;
    return HistogramSlots.of(metric)!.quantilesSince(before, last.values, index, [q])[0]!;
  }

  #find(name: SeriesName): { pool: PoolHistory; metric: Metric; index: number } | undefined {
    for (const pool of this.#pools.values()) {
      const { source, app } = pool;
      if (app !== name.app || (name.source !== undefined && name.source !== source)) continue;
      const found = findSeries(pool.structure, name);
      if (found !== undefined) return { pool, ...found };
    }
    return undefined;
  }

  #window({ rows, first }: PoolHistory, windowMs: number): Row[] {
    const last = rows.at(-1);
    if (last === undefined) return [];
    const from = last.monotonicNs - windowMs * 1e6;
    let low = first;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (rows[middle]!.monotonicNs < from) low = middle + 1;
      else high = middle;
    }
    return rows.slice(low);
  }

  #grow(pool: PoolHistory, bytes: number): void {
    pool.bytes += bytes;
    this.#bytes += bytes;
  }

  #dropOldest(pool: PoolHistory): void {
    this.#grow(pool, -pool.rows[pool.first]!.values.byteLength);
    pool.rows[pool.first++]!.values = new Float64Array();
    // Spent rows go in one piece, not with a shift for each.
    if (pool.first > 1024 && pool.first * 2 > pool.rows.length) {
      pool.rows.splice(0, pool.first);
      pool.first = 0;
    }
  }

  /** Lets go of pools that were not read since: they are gone, and none of their rows is shown any more. */
  #forget(sinceNs: number): void {
    for (const [key, pool] of this.#pools) {
      if (pool.rows.at(-1)!.monotonicNs >= sinceNs) continue;
      this.#grow(pool, -pool.bytes);
      this.#pools.delete(key);
    }
  }

  #dropFromLargest(): boolean {
    let largest: PoolHistory | undefined;
    for (const pool of this.#pools.values()) {
      const hasSpare = pool.rows.length - pool.first > 1;
      if (hasSpare && (largest === undefined || pool.bytes > largest.bytes)) largest = pool;
    }
    if (largest === undefined) return false;
    this.#dropOldest(largest);
    return true;
  }
}

function deltaOf(
  rows: readonly Row[],
  { metric, index }: { metric: Metric; index: number },
): number {
  const { kind } = metric.definition;
  const read = (row: Row): number => {
    if (kind === "counter" || kind === "gauge") return row.values[index] ?? Number.NaN;
    let count = 0;
    for (let i = 0; i < metric.slots - 1; i++) count += row.values[index + i] ?? 0;
    return count;
  };
  if (kind === "gauge") return read(rows.at(-1)!) - read(rows[0]!);
  let total = 0;
  let before = Number.NaN;
  for (const row of rows) {
    const value = read(row);
    if (!Number.isNaN(before)) total += value >= before ? value - before : value;
    if (!Number.isNaN(value)) before = value;
  }
  return total;
}

/** The metric and value index that a name means in a structure. */
export function findSeries(
  structure: Structure,
  { service, metric: metricName, labels = {} }: SeriesName,
): { metric: Metric; index: number } | undefined {
  for (const entry of structure.metrics) {
    const { metric, indexes } = entry;
    const { name, labelNames, dialect } = metric.definition;
    if (name !== metricName || entry.service !== service) continue;
    // One of several of the name: it has these labels and no others.
    if (dialect !== undefined && labelNames.length !== Object.keys(labels).length) continue;
    for (let at = 0; at < indexes.length; at++) {
      const values = structure.labelValues(entry, at);
      if (labelNames.every((label, i) => labels[label] === values[i])) {
        return { metric, index: indexes[at]! };
      }
    }
  }
  return undefined;
}

/**
 * Series have new numbers. Moves the values in the rows that are kept to the places that the same series have now.
 * @returns by how many bytes the rows grew
 */
function renumber(pool: PoolHistory, structure: Structure): number {
  const formerId = structure.seriesSince(pool.structure);
  const places = new Map<number, number>();
  for (const { series, indexes } of pool.structure.metrics) {
    for (let at = 0; at < series.length; at++) places.set(series[at]!, indexes[at]!);
  }
  const moves: { from: number; to: number; slots: number }[] = [];
  // Before it was there a histogram had observed nothing; a counter or gauge was absent.
  const unknown = new Float64Array(structure.valueCount).fill(Number.NaN);
  for (const entry of structure.metrics) {
    const { indexes, metric } = entry;
    const { slots } = metric;
    const { kind } = metric.definition;
    const isHistogram = kind !== "counter" && kind !== "gauge";
    for (let at = 0; at < indexes.length; at++) {
      const to = indexes[at]!;
      if (isHistogram) unknown.fill(0, to, to + slots);
      const from = places.get(formerId(entry, at));
      if (from !== undefined) moves.push({ from, to, slots });
    }
  }
  let grown = 0;
  for (const row of pool.rows.slice(pool.first)) {
    const values = unknown.slice();
    for (const { from, to, slots } of moves) {
      values.set(row.values.subarray(from, from + slots), to);
    }
    grown += values.byteLength - row.values.byteLength;
    row.values = values;
  }
  return grown;
}
