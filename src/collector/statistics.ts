// How well a target's deadlines are kept: measured, and shown rather than hidden.

import type { TransportCounters, TransportName } from "./transport.ts";

/** Log-spaced buckets: exact enough for a tail, small enough to keep for each target. */
const BUCKETS_PER_DECADE = 20;
const LOWEST_US = 0.1;
const BUCKETS = 8 * BUCKETS_PER_DECADE;

/** A distribution of durations in microseconds, to 12 %. */
export class DurationStatistics {
  readonly #counts = new Uint32Array(BUCKETS);
  count = 0;
  maxUs = 0;
  sumUs = 0;

  add(us: number): void {
    const bucket = Math.floor(Math.log10(Math.max(us, LOWEST_US) / LOWEST_US) * BUCKETS_PER_DECADE);
    this.#counts[Math.min(bucket, BUCKETS - 1)]!++;
    this.count++;
    this.sumUs += us;
    if (us > this.maxUs) this.maxUs = us;
  }

  /** The duration that a share of all does not exceed; NaN when there is none. */
  quantileUs(q: number): number {
    if (this.count === 0) return Number.NaN;
    let left = Math.ceil(q * this.count);
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#counts[i]!;
      if (left <= 0) return Math.min(this.maxUs, LOWEST_US * 10 ** ((i + 1) / BUCKETS_PER_DECADE));
    }
    return this.maxUs;
  }
}

/** What a collector knows of one agent. */
export interface TargetStatistics {
  source: string;
  /** How it is read now; undefined while it is away. */
  transport: TransportName | undefined;
  /** Why it is away. */
  away: string | undefined;
  snapshots: number;
  /** Deadlines without a snapshot. */
  missed: number;
  /** Snapshots that found all buffers with a slow consumer. */
  overruns: number;
  /** Snapshots given up because the structure did not stand still. */
  unsettled: number;
  /** Times the agent went away. */
  gaps: number;
  /** Start of a read after its deadline. */
  lateness: DurationStatistics;
  /** Duration of a read. */
  read: DurationStatistics;
  /** What the transport in use has done since the agent was reached. */
  transfer: TransportCounters;
}
