// Finds the rings of a host for who does something with them: opens those that are new, remembers those that could not be
// opened and when they are tried again, and lets go of them. The keeper, the shipper and the follower each have one.

import { type NamedRing, ringsNamed } from "./rings.ts";

/**
 * Why a file is not taken though nothing is wrong with it.
 * `busy`: another agent has it, and it is asked for again each time. `foreign`: another user's, asked for as rarely as
 * what failed often. `unwanted`: not asked for again.
 */
export type NotTaken = "busy" | "foreign" | "unwanted";

/** Opens a ring. @throws Error saying why it cannot be opened */
export type OpenNamed<Held extends object> = (named: NamedRing) => Held | NotTaken;

/** Times are in whatever unit the caller of {@link RingFinder.find} counts in. */
export interface RingFinderOptions<Held extends object> {
  poolDir: string | undefined;
  /** A file that cannot be opened may be a ring whose writer has just begun: how often it is tried before it is told. */
  tries: number;
  /** After how long it is tried again before it is told, and from then on. */
  retryAfter: number;
  retryAfterTold: number;
  /** Anybody may make files with names of rings: so many are tried again at a time, and held. */
  retriesMax?: number;
  ringsMax?: number;
  /** Somebody else tells that the folder of the pools is gone: nothing is found meanwhile. */
  isFolderTold?: boolean;
  /** Told once of each file that could not be opened. */
  onUnopened?: (path: string, reason: string) => void;
  onRelease: (path: string, held: Held) => void;
}

interface Passed {
  /** How often in a row it was not taken. */
  tries: number;
  again: number;
}

export class RingFinder<Held extends object> {
  readonly #options: RingFinderOptions<Held>;
  readonly #held = new Map<string, Held>();
  /** Files that were not taken, or were let go of. The longest ago first. */
  readonly #passed = new Map<string, Passed>();
  #now = 0;

  constructor(options: RingFinderOptions<Held>) {
    this.#options = options;
  }

  /** The rings that are open, by their paths. They may be let go of while they are gone through. */
  get held(): ReadonlyMap<string, Held> {
    return this.#held;
  }

  /**
   * Opens the rings that are new, and those whose time to be tried again has come.
   * @throws Error saying why the folder of the pools cannot be listed
   */
  find(now: number, open: OpenNamed<Held>): void {
    this.#now = now;
    const named = this.#named();
    if (named === undefined) return;
    const there = new Map(named.map((each) => [each.path, each]));
    for (const path of this.#passed.keys()) if (!there.has(path)) this.#passed.delete(path);
    const fresh = named.filter(({ path }) => !(this.#passed.has(path) || this.#held.has(path)));
    const { ringsMax = Number.POSITIVE_INFINITY } = this.#options;
    for (const each of [...fresh, ...this.#due().map((path) => there.get(path)!)]) {
      if (this.#held.size >= ringsMax) break;
      this.#try(each, open);
    }
  }

  /** Lets go of a ring. @param after when its file may be looked at again; never, unless it is told */
  release(path: string, after = Number.POSITIVE_INFINITY): void {
    this.#drop(path);
    this.#passed.set(path, { tries: this.#options.tries, again: this.#now + after });
  }

  /** Lets go of a ring whose file was removed. */
  forget(path: string): void {
    this.#drop(path);
  }

  /** Lets go of all. */
  close(): void {
    for (const path of this.#held.keys()) this.#drop(path);
  }

  #named(): NamedRing[] | undefined {
    const { poolDir, isFolderTold } = this.#options;
    try {
      return ringsNamed(poolDir);
    } catch (error) {
      if (isFolderTold) return undefined;
      throw error;
    }
  }

  #due(): string[] {
    const { retriesMax = Number.POSITIVE_INFINITY } = this.#options;
    const due: string[] = [];
    for (const [path, { again }] of this.#passed) {
      if (due.length === retriesMax) break;
      if (again <= this.#now) due.push(path);
    }
    return due;
  }

  #try(named: NamedRing, open: OpenNamed<Held>): void {
    const { path } = named;
    let found: Held | NotTaken;
    try {
      found = open(named);
    } catch (error) {
      this.#failed(path, (error as Error).message);
      return;
    }
    if (found === "unwanted") this.#pass(path, Number.POSITIVE_INFINITY);
    else if (found === "foreign") this.#pass(path, this.#options.retryAfterTold);
    else {
      this.#passed.delete(path);
      if (found !== "busy") this.#held.set(path, found);
    }
  }

  #failed(path: string, reason: string): void {
    const { tries, retryAfter, retryAfterTold, onUnopened } = this.#options;
    const tried = (this.#passed.get(path)?.tries ?? 0) + 1;
    this.#pass(path, tried < tries ? retryAfter : retryAfterTold);
    if (tried === tries) onUnopened?.(path, reason);
  }

  /** It goes to the end of those that wait. */
  #pass(path: string, after: number): void {
    const tries = (this.#passed.get(path)?.tries ?? 0) + 1;
    this.#passed.delete(path);
    this.#passed.set(path, { tries, again: this.#now + after });
  }

  #drop(path: string): void {
    const held = this.#held.get(path);
    if (held === undefined) return;
    this.#held.delete(path);
    this.#options.onRelease(path, held);
  }
}
