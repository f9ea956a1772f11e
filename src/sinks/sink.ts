// What every sink is. A sink turns snapshots into text and hands it to a function; it opens nothing itself.

import { type Metric, type PoolSnapshot, poolKey } from "../layout/index.ts";

/** Takes snapshots as they come, of any number of agents and applications. */
export interface Sink {
  /** The snapshot's arrays may be used again after this returns: what is needed later is copied. */
  write(snapshot: PoolSnapshot): void;
  /** What was written since the last call belongs together, e.g. one round of `--once`. Not needed: sinks notice. */
  flush(): void;
  /** Puts out what is left and gives the terminal back. */
  close(): void;
}

/** What every sink is made with. */
export interface SinkOptions {
  /** Receives the output, in pieces that end with a line. */
  write: (text: string) => void;
  /** Leaves out series. A snapshot also has values of metrics that were not asked for, where they share pages. */
  wanted?: (service: string, metric: Metric) => boolean;
  /** Shows each writer's own values instead of their sum. */
  perWriter?: boolean;
}

/** Says in which order snapshots belong together: a pool that comes again begins a new round. */
export class Rounds {
  readonly #seen = new Set<string>();

  /** @returns whether this snapshot begins a new round */
  begins(snapshot: PoolSnapshot): boolean {
    const pool = poolKey(snapshot);
    const again = this.#seen.has(pool);
    if (again) this.#seen.clear();
    this.#seen.add(pool);
    return again;
  }

  end(): void {
    this.#seen.clear();
  }
}

/** After so long without a snapshot a pool is not remembered for when it comes again. */
const REMEMBERED_NS = 3600e9;

/** What a sink keeps of each pool. Applications come and go under other names without end: old ones are forgotten. */
export class PoolStates<State> {
  readonly #states = new Map<string, { state: State; atNs: number }>();

  get size(): number {
    return this.#states.size;
  }

  /** @param make what is kept of a pool that is new, or was not read for long */
  of(snapshot: PoolSnapshot, make: () => State): State {
    const key = poolKey(snapshot);
    const atNs = snapshot.monotonicNs;
    let known = this.#states.get(key);
    if (known === undefined) {
      for (const [other, { atNs: lastNs }] of this.#states) {
        if (atNs - lastNs > REMEMBERED_NS) this.#states.delete(other);
      }
      known = { state: make(), atNs };
      this.#states.set(key, known);
    }
    known.atNs = atNs;
    return known.state;
  }
}
