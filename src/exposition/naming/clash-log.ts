// Reports each clash of names once, however often it is found, and counts them.

import { describeClash, type NameClash } from "./shown.ts";

/** Clashes that are reported; more are only counted. */
const TOLD_MAX = 100;
/** Clashes that are remembered; further ones are neither reported nor counted. */
const KNOWN_MAX = 10_000;

export class ClashLog {
  readonly #known = new Set<string>();
  /** Seen last: the same list comes again and again. */
  #seen: readonly NameClash[] = [];

  /**
   * @param tell takes a clash in words
   * @param found is called for each that is new
   */
  constructor(
    readonly tell: (text: string) => void,
    readonly found: () => void = () => {},
  ) {}

  /** How many there were. */
  get count(): number {
    return this.#known.size;
  }

  see(clashes: readonly NameClash[]): void {
    if (clashes === this.#seen) return;
    this.#seen = clashes;
    for (const clash of clashes) {
      const text = describeClash(clash);
      if (this.#known.has(text) || this.#known.size >= KNOWN_MAX) continue;
      this.#known.add(text);
      this.found();
      if (this.#known.size <= TOLD_MAX) this.tell(text);
      else if (this.#known.size === TOLD_MAX + 1) this.tell("more names clash: they are counted");
    }
  }
}
