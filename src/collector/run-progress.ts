// How often every pool of every agent has been read, for runs that end after so many rounds. A run without an end only
// asks whether every pool was read once. `microview collect` asks.

import { poolKey } from "../layout/index.ts";

type Pool = Readonly<{ source: string; app: string }>;

export class RunProgress {
  /** Pools to wait for, by agent; known once it is connected. */
  readonly #expected = new Map<string, number>();
  /** In a bounded run: how often each pool was read. */
  readonly #rounds = new Map<string, number>();
  /** In a bounded run: pools of which nothing can be read. */
  readonly #unread = new Set<string>();
  /** In a run without an end: applications of each agent that were read or cannot be, until they are as many as it has. */
  readonly #met = new Map<string, Set<string>>();
  #isEmpty = true;

  /**
   * @param sources agents that are read
   * @param wanted rounds after which a pool has delivered what was asked for
   */
  constructor(
    readonly sources: number,
    readonly wanted: number,
  ) {}

  get isBounded(): boolean {
    return Number.isFinite(this.wanted);
  }

  get isEmpty(): boolean {
    return this.#isEmpty;
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
    this.#isEmpty = false;
    if (!this.isBounded) {
      this.#meet(pool);
      return true;
    }
    const key = poolKey(pool);
    this.#unread.delete(key);
    const round = (this.#rounds.get(key) ?? 0) + 1;
    if (round > this.wanted) return false;
    this.#rounds.set(key, round);
    return true;
  }

  /** A pool cannot be read: the others are not kept waiting by it. */
  giveUp(pool: Pool): void {
    if (this.isBounded) this.#unread.add(poolKey(pool));
    else this.#meet(pool);
  }

  /** How many applications are remembered by name. */
  get size(): number {
    let size = this.#rounds.size + this.#unread.size;
    for (const apps of this.#met.values()) size += apps.size;
    return size;
  }

  /** Keeps names only until there are enough: applications come and go for as long as the run lasts. */
  #meet({ source, app }: Pool): void {
    const met = this.#met.get(source) ?? new Set();
    this.#met.set(source, met);
    if (met.size < (this.#expected.get(source) ?? 0)) met.add(app);
  }

  /**
   * Whether every pool of every agent that can be read has been read so often.
   * @param rounds a run without an end is complete after one at most
   */
  isComplete(rounds = this.wanted): boolean {
    if (this.#expected.size < this.sources) return false;
    if (!this.isBounded) {
      const isMet = ([source, pools]: [string, number]) =>
        (this.#met.get(source)?.size ?? 0) >= pools;
      return rounds <= 1 && [...this.#expected].every(isMet);
    }
    let complete = this.#unread.size;
    for (const [key, read] of this.#rounds) {
      if (read >= rounds && !this.#unread.has(key)) complete++;
    }
    let expected = 0;
    for (const pools of this.#expected.values()) expected += pools;
    return complete >= expected;
  }
}
