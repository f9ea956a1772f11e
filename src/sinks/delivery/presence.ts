// Which pools are there, as far as a receiver is concerned. A source that is away may come back soon, so its pools end
// only when they have brought nothing for long. For all sinks that send.

import { poolKey } from "../../layout/index.ts";

const LOOK_MS = 1000;

/** A pool that is there. */
interface Present {
  readonly source: string;
  readonly app: string;
  /** When it brought something last. */
  atMs: number;
  /** When something of it was sent last, by its own clock. For sinks that do not send all that it brings. */
  sentMs: number;
}

export class Presence {
  readonly #pools = new Map<string, Present>();
  readonly #watch: Timer;

  /**
   * @param awayMs a pool that brings nothing for so long has ended, as far as the receiver is concerned
   * @param onEnded told once of each pool that has ended
   */
  constructor(
    readonly awayMs: number,
    readonly onEnded: (source: string, app: string) => void,
  ) {
    this.#watch = setInterval(() => this.#look(), Math.min(LOOK_MS, awayMs / 4));
    this.#watch.unref();
  }

  /** A pool has brought something. */
  see({ source, app }: Pick<Present, "source" | "app">): Present {
    const key = poolKey({ source, app });
    const atMs = performance.now();
    let present = this.#pools.get(key);
    if (present === undefined) {
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
