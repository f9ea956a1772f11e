// What the table shows: the last values of each pool, one sample of them per second, and how well reads keep their times.
// No text and no terminal here: view.ts makes the lines and table.ts writes them.

import { AGENT_APP, type PoolSnapshot, poolKey, type Structure } from "../../layout/index.ts";
import { labelsText, printable } from "../../text/index.ts";
import { type Row, type RowName, Rows, rowValue } from "../rows.ts";
import type { SinkOptions } from "../sink.ts";
import { rateOf, wentBack } from "../text/rate.ts";

/** Samples kept per row, one per second: what a sparkline shows, and one more to have differences. */
const SAMPLES = 31;
const SAMPLE_EVERY_S = 1;
/** Rates are taken over at least this time, so that they can be read. */
const RATE_OVER_S = 0.95;
/** Quantiles are of what was observed in the last 5 to 10 of these samples. */
const WINDOW_SAMPLES = 5;
const LATENESSES = 2048;
/** A pool that brings no snapshot for so long is taken off the table. */
const FORGET_AFTER_MS = 60_000;
/** How many pools that have ended may stay on the table until then. */
const MAX_ENDED = 20;

/** What the table keeps of a row: its printable names and its samples. */
export interface Course {
  readonly service: string;
  readonly name: string;
  /** Ring of samples; see {@link PoolModel.courseOf}. */
  readonly samples: Float64Array;
}

/** A histogram's observations, and a counter's or gauge's value, now. */
export interface Reading {
  value: number;
  /** Per second; NaN for a gauge, and while nothing is known. */
  rate: number;
  /** A counter or histogram was reset within the time that the rate is taken over. */
  isReset: boolean;
  /** Of the last seconds; NaN where nothing was observed. */
  p50: number;
  p99: number;
}

/** One pool as the table shows it. */
export class PoolModel {
  readonly rows: Rows<Course>;
  writtenAtMs = 0;
  snapshots = 0;
  #latest = new Float64Array();
  #latestNs = 0;
  /** When samples were taken, by their number modulo {@link SAMPLES}; NaN before there were any. */
  readonly #sampledNs = new Float64Array(SAMPLES).fill(Number.NaN);
  #sampled = 0;
  /** Earlier values, from which quantiles are counted: the older ones are in use, the newer ones replace them later. */
  #bases: Float64Array[] = [];
  #structure = -1;
  #followed: Structure | undefined;

  constructor(
    readonly source: string,
    readonly app: string,
    readonly options: Pick<SinkOptions, "perWriter">,
  ) {
    this.rows = new Rows(options, newCourse);
  }

  take(snapshot: PoolSnapshot, nowMs: number): void {
    const { rows } = this;
    rows.follow(snapshot);
    if (rows.version !== this.#structure) {
      // Writers or series ids have changed, so an index may mean another series than in earlier values.
      if (this.options.perWriter === true || this.#isRenumbered(snapshot)) this.#bases = [];
      this.#structure = rows.version;
    }
    const data = rows.data(snapshot);
    if (data.length !== this.#latest.length) this.#latest = new Float64Array(data.length);
    this.#latest.set(data);
    this.#latestNs = snapshot.monotonicNs;
    this.writtenAtMs = nowMs;
    this.snapshots++;
    const lastNs = this.#sampledNs[(this.#sampled - 1 + SAMPLES) % SAMPLES]!;
    if (!((snapshot.monotonicNs - lastNs) / 1e9 < SAMPLE_EVERY_S * 0.98)) this.#sample();
  }

  /** A row's numbers now. */
  read(row: Row<Course>): Reading {
    const data = this.#latest;
    const value = rowValue(row, data);
    const isGauge = row.metric.definition.kind === "gauge";
    const reading = {
      value,
      ...(isGauge ? { rate: Number.NaN, isReset: false } : this.#change(row, value)),
      p50: Number.NaN,
      p99: Number.NaN,
    };
    if (row.histogram === undefined) return reading;
    const shares = [0.5, 0.99];
    const base = this.#bases[0];
    const [p50, p99] =
      base === undefined || this.snapshots === 1
        ? row.histogram.quantiles(data, row.index, shares)
        : row.histogram.quantilesSince(base, data, row.index, shares);
    return { ...reading, p50: p50!, p99: p99! };
  }

  /** A counter's or histogram's rates, or a gauge's values, over the last seconds; oldest first. */
  courseOf(row: Row<Course>): number[] {
    const isGauge = row.metric.definition.kind === "gauge";
    const course: number[] = [];
    const oldest = Math.max(0, this.#sampled - SAMPLES);
    for (let i = oldest + 1; i < this.#sampled; i++) {
      const now = row.part.samples[i % SAMPLES]!;
      const before = row.part.samples[(i - 1) % SAMPLES]!;
      const seconds = (this.#sampledNs[i % SAMPLES]! - this.#sampledNs[(i - 1) % SAMPLES]!) / 1e9;
      course.push(isGauge ? now : rateOf(now, before, seconds));
    }
    return course;
  }

  #isRenumbered({ structure }: PoolSnapshot): boolean {
    const isRenumbered = !structure.continues(this.#followed);
    this.#followed = structure;
    return isRenumbered;
  }

  #change({ part }: Row<Course>, value: number): Pick<Reading, "rate" | "isReset"> {
    const at = this.#comparedWith();
    const before = part.samples[at]!;
    const seconds = (this.#latestNs - this.#sampledNs[at]!) / 1e9;
    return { rate: rateOf(value, before, seconds), isReset: wentBack(value, before) };
  }

  /** The newest sample that is old enough, or else the first: a rate over a short time is better than none. */
  #comparedWith(): number {
    const first = Math.max(0, this.#sampled - SAMPLES);
    for (let i = this.#sampled - 1; i >= first; i--) {
      if ((this.#latestNs - this.#sampledNs[i % SAMPLES]!) / 1e9 >= RATE_OVER_S) return i % SAMPLES;
    }
    return first % SAMPLES;
  }

  #sample(): void {
    const at = this.#sampled % SAMPLES;
    this.#sampledNs[at] = this.#latestNs;
    for (const row of this.rows.rows) row.part.samples[at] = rowValue(row, this.#latest);
    if (this.#bases.length === 0 || this.#sampled % WINDOW_SAMPLES === 0) {
      if (this.#bases.length === 2) this.#bases.shift();
      this.#bases.push(this.#latest.slice());
    }
    this.#sampled++;
  }
}

function newCourse({ service, metric, labelValues, writer }: RowName): Course {
  const { name, labelNames } = metric.definition;
  return {
    service: printable(service) + (writer === undefined ? "" : writerText(writer)),
    name: name + labelsText(labelNames, labelValues),
    samples: new Float64Array(SAMPLES).fill(Number.NaN),
  };
}

function writerText({ id, pid, threadId, retained }: NonNullable<RowName["writer"]>): string {
  return retained ? ` #${id} of the dead` : ` #${id} ${pid}/${threadId}`;
}

/** A row with the pool it is of. */
export interface PlacedRow {
  pool: PoolModel;
  row: Row<Course>;
}

/** A time without snapshots, as the collector has told it. */
export interface Gap {
  app: string;
  source: string;
  reason: string;
  atMs: number;
}

/** All pools, and how well reads keep their times. */
export class TableModel {
  readonly pools = new Map<string, PoolModel>();
  snapshots = 0;
  missed = 0;
  gaps = 0;
  lastGap: Gap | undefined;
  lastMissedAtMs = Number.NEGATIVE_INFINITY;
  readMs = 0;
  takenAtMs = 0;
  /** Keys of pools that have ended and are still shown, the first to end first. */
  readonly #ended = new Set<string>();
  readonly #latenesses = new Float64Array(LATENESSES);
  #sorted: PlacedRow[] = [];
  /** The pools that `#sorted` was made of, each with the version of its rows. */
  #sortedOf: readonly (PoolModel | number)[] = [];

  constructor(readonly options: Pick<SinkOptions, "perWriter">) {}

  take(snapshot: PoolSnapshot, nowMs: number): void {
    const { source, app, missed, gap, latenessMs, readMs, takenAtMs } = snapshot;
    const key = poolKey(snapshot);
    let pool = this.pools.get(key);
    // An application that has ended and comes again has another pool: nothing is compared with the one before.
    if (pool === undefined || this.#ended.delete(key)) {
      pool = new PoolModel(source, app, this.options);
      this.pools.set(key, pool);
    }
    pool.take(snapshot, nowMs);
    this.#latenesses[this.snapshots % LATENESSES] = latenessMs;
    this.snapshots++;
    this.readMs = readMs;
    this.takenAtMs = takenAtMs;
    if (missed > 0) {
      this.missed += missed;
      this.lastMissedAtMs = nowMs;
    }
    if (gap !== undefined) {
      this.gaps++;
      this.lastGap = { app, source, reason: gap, atMs: nowMs };
    }
  }

  /** An application has ended. It is shown for a minute more. */
  end(source: string, app: string): void {
    const key = poolKey({ source, app });
    if (!this.pools.has(key)) return;
    this.#ended.add(key);
    const [oldest] = this.#ended;
    if (this.#ended.size > MAX_ENDED) this.#remove(oldest!);
  }

  /** Takes pools off the table that have brought no snapshot for a minute. */
  forget(nowMs: number): void {
    for (const [key, pool] of this.pools) {
      if (nowMs - pool.writtenAtMs > FORGET_AFTER_MS) this.#remove(key);
    }
  }

  #remove(key: string): void {
    this.pools.delete(key);
    this.#ended.delete(key);
  }

  /** By application, the agents' own last, service, name and source; sorted again only when the structure has changed. */
  rows(): readonly PlacedRow[] {
    const state = [...this.pools.values()].flatMap((pool) => [pool, pool.rows.version]);
    const isSame = state.length === this.#sortedOf.length;
    if (!isSame || state.some((each, i) => each !== this.#sortedOf[i])) {
      this.#sortedOf = state;
      this.#sorted = [...this.pools.values()]
        .flatMap((pool) => pool.rows.rows.map((row) => ({ pool, row })))
        .sort(byName);
    }
    return this.#sorted;
  }

  /** Milliseconds by which the recent reads were late: half of them at most, and 99 of 100 at most. */
  lateness(): { p50: number; p99: number } {
    const known = this.#latenesses.slice(0, Math.min(this.snapshots, LATENESSES)).sort();
    const at = (share: number) => known[Math.ceil(share * known.length) - 1] ?? Number.NaN;
    return { p50: at(0.5), p99: at(0.99) };
  }
}

function byName(a: PlacedRow, b: PlacedRow): number {
  return (
    Number(a.pool.app === AGENT_APP) - Number(b.pool.app === AGENT_APP) ||
    compare(a.pool.app, b.pool.app) ||
    compare(a.row.part.service, b.row.part.service) ||
    compare(a.row.part.name, b.row.part.name) ||
    compare(a.pool.source, b.pool.source)
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
