// What sinks need to know of pools that come again and again: which snapshots belong together, and what is kept of each.

import { type PoolSnapshot, poolKey } from "../layout/index.ts";

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
