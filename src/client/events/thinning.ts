// Leaves out lines of a call that records far too many of them, and counts them: one that repeats itself in a loop costs
// little then, and fills no ring.

import type { RingClock } from "./ring-writer.ts";

/** A message that comes again, at one level: what a call in a program has, mostly. */
export interface Site {
  /** The message's definition. */
  readonly id: number;
  readonly level: number;
  /** Lines since this second of its has begun, those left out among them. */
  count: number;
  endTick: number;
  /** Lines that were left out, and not told of yet. */
  thinned: number;
}

const SECOND_MS = 1000;

export class Thinning {
  readonly #perSecond: number;
  readonly #clock: RingClock;
  readonly #tell: (site: Site) => void;
  readonly #untold = new Set<Site>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isEndWatched = false;

  /**
   * @param perSecond lines of a site that are recorded
   * @param tell records how many were left out
   */
  constructor(perSecond: number, clock: RingClock, tell: (site: Site) => void) {
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#tell = tell;
  }

  site(id: number, level: number): Site {
    return { id, level, count: 1, endTick: this.#secondFrom(this.#clock.ticks()), thinned: 0 };
  }

  /** Whether the next line of a site is left out. Looks at the clock only when there were many. */
  hides(site: Site): boolean {
    return ++site.count > this.#perSecond && this.#isTooSoon(site);
  }

  /** Tells of all that was left out so far. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const site of this.#untold) this.#tellOf(site);
  }

  #isTooSoon(site: Site): boolean {
    const tick = this.#clock.ticks();
    if (tick >= site.endTick) {
      if (site.thinned > 0) this.#tellOf(site);
      site.count = 1;
      site.endTick = this.#secondFrom(tick);
      return false;
    }
    if (site.thinned++ === 0) this.#watch(site);
    return true;
  }

  #tellOf(site: Site): void {
    this.#untold.delete(site);
    this.#tell(site);
    site.thinned = 0;
  }

  /** It may not log again: then somebody else has to tell of it. */
  #watch(site: Site): void {
    this.#untold.add(site);
    this.#timer ??= setTimeout(() => this.#tellEnded(), SECOND_MS).unref();
    if (this.#isEndWatched) return;
    this.#isEndWatched = true;
    process.once("exit", () => this.end());
  }

  #tellEnded(): void {
    const tick = this.#clock.ticks();
    for (const site of this.#untold) if (tick >= site.endTick) this.#tellOf(site);
    const isDone = this.#untold.size === 0;
    this.#timer = isDone ? undefined : setTimeout(() => this.#tellEnded(), SECOND_MS).unref();
  }

  #secondFrom(tick: number): number {
    return tick + SECOND_MS * this.#clock.ticksPerMs;
  }
}
