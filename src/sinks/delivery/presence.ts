// Which pools a receiver takes to be there. A source that is away may come back soon, so that its pools end only when
// they have brought nothing for long. For all sinks that send.

import { type PoolSnapshot, poolKey } from "../../layout/index.ts";

const LOOK_MS = 1000;

/** A pool that is there. */
interface Present {
  readonly source: string;
  readonly app: string;
  /** When it brought a snapshot last. */
  atMs: number;
  /** By its own clock, when a snapshot of it was sent last; for sinks that do not send all of them. */
  sentMs: number;
}

export class Presence {
  readonly #pools = new Map<string, Present>();
  readonly #watch: Timer;

  /**
   * @param awayMs after so long without a snapshot a pool has ended, as far as the receiver is concerned
   * @param onEnded told of each that has, once
   */
  constructor(
    readonly awayMs: number,
    readonly onEnded: (source: string, app: string) => void,
  ) {
    this.#watch = setInterval(() => this.#look(), Math.min(LOOK_MS, awayMs / 4));
    this.#watch.unref();
  }

  /** A pool has brought a snapshot. */
  see(snapshot: Pick<PoolSnapshot, "source" | "app">): Present {
    const key = poolKey(snapshot);
    const atMs = performance.now();
    let present = this.#pools.get(key);
    if (present === undefined) {
      const { source, app } = snapshot;
      present = { source, app, atMs, sentMs: Number.NEGATIVE_INFINITY };
      this.#pools.set(key, present);
    } else present.atMs = atMs;
    return present;
  }

  /** A pool has ended. */
  end(source: string, app: string): void {
    this.#pools.delete(poolKey({ source, app }));
    this.onEnded(source, app);
  }

  close(): void {
    clearInterval(this.#watch);
  }

  #look(): void {
    const nowMs = performance.now();
    for (const { source, app, atMs } of this.#pools.values()) {
      if (nowMs - atMs > this.awayMs) this.end(source, app);
    }
  }
}
