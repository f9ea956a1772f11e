// What the sinks that print keep of pools: which snapshots belong to one round, and a state for each pool. Applications
// come and go under new names without end, so what has ended is forgotten.

import { type PoolSnapshot, poolKey } from "../layout/index.ts";

type PoolName = Pick<PoolSnapshot, "source" | "app">;

/** Groups snapshots into rounds. A round ends when one of its pools comes again, or when all of its pools are gone. */
export class Rounds {
  /** Pools of the round that may come again. */
  readonly #present = new Map<string, PoolName>();
  /** Pools of the round that are gone. */
  readonly #gone = new Set<string>();

  /** @returns whether this snapshot begins a new round */
  begins({ source, app }: PoolName): boolean {
    const key = poolKey({ source, app });
    const isOver = this.#present.size === 0 && this.#gone.size > 0;
    const begins = isOver || this.#present.has(key) || this.#gone.has(key);
    if (begins) {
      this.#present.clear();
      this.#gone.clear();
    }
    this.#present.set(key, { source, app });
    return begins;
  }

  /** An application has ended, or all of a source are away. */
  gone(source: string, app?: string): void {
    for (const [key, pool] of this.#present) {
      if (pool.source !== source || (app ?? pool.app) !== pool.app) continue;
      this.#present.delete(key);
      this.#gone.add(key);
    }
  }
}

/** A pool that brings no snapshot for so long is forgotten. Replayed pools never say that they are gone. */
const REMEMBERED_NS = 3600e9;

/** A state for each pool. */
export class PoolStates<State> {
  readonly #states = new Map<string, { state: State; atNs: number }>();

  get size(): number {
    return this.#states.size;
  }

  /** An application has ended. Of a source that is away (no `app`) everything is kept for when it is back. */
  gone(source: string, app?: string): void {
    if (app !== undefined) this.#states.delete(poolKey({ source, app }));
  }

  /** @param make the state of a pool that has none */
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
