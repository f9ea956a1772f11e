// How often every pool of every agent has been read, for runs that end after so many rounds. `microview collect` asks.

import { poolKey } from "../layout/index.ts";

type Pool = Readonly<{ source: string; app: string }>;

export class RunProgress {
  /** Pools to wait for, by agent; known once it is connected. */
  readonly #expected = new Map<string, number>();
  readonly #rounds = new Map<string, number>();
  /** Pools of which nothing can be read. */
  readonly #unread = new Set<string>();

  /**
   * @param sources agents that are read
   * @param wanted rounds after which a pool has delivered what was asked for
   */
  constructor(
    readonly sources: number,
    readonly wanted: number,
  ) {}

  /** There is an end to the run. */
  get isBounded(): boolean {
    return Number.isFinite(this.wanted);
  }

  /** Nothing has been read. */
  get isEmpty(): boolean {
    return this.#rounds.size === 0;
  }

  /** Pools that an agent has; undefined for one that is not connected yet. */
  expectedOf(source: string): number | undefined {
    return this.#expected.get(source);
  }

  /** An agent is connected, and has so many pools that are wanted. */
  expect(source: string, pools: number): void {
    this.#expected.set(source, pools);
  }

  /** A pool was read. @returns false for one that has delivered already what was asked for */
  take(pool: Pool): boolean {
    const key = poolKey(pool);
    this.#unread.delete(key);
    const round = (this.#rounds.get(key) ?? 0) + 1;
    if (round > this.wanted) return false;
    this.#rounds.set(key, round);
    return true;
  }

  /** A pool cannot be read: the others are not kept waiting by it. */
  giveUp(pool: Pool): void {
    this.#unread.add(poolKey(pool));
  }

  /** Whether every pool of every agent that can be read has been read so often. */
  isComplete(rounds = this.wanted): boolean {
    if (this.#expected.size < this.sources) return false;
    let complete = this.#unread.size;
    for (const [key, read] of this.#rounds) {
      if (read >= rounds && !this.#unread.has(key)) complete++;
    }
    let expected = 0;
    for (const pools of this.#expected.values()) expected += pools;
    return complete >= expected;
  }
}
