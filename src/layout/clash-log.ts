// Tells of each clash of names once, however often it is found, and counts them.

import { describeClash, type NameClash } from "./sample-names.ts";

/** Clashes that are remembered; whoever makes more of them is not told of those. */
const TOLD_MAX = 1000;

export class ClashLog {
  readonly #told = new Set<string>();
  /** Seen last: the same is found over and over. */
  #seen: readonly NameClash[] = [];

  /** @param tell takes a clash in words */
  constructor(readonly tell: (text: string) => void) {}

  /** How many were told. */
  get count(): number {
    return this.#told.size;
  }

  see(clashes: readonly NameClash[]): void {
    if (clashes === this.#seen) return;
    this.#seen = clashes;
    for (const clash of clashes) {
      const text = describeClash(clash);
      if (this.#told.has(text) || this.#told.size >= TOLD_MAX) continue;
      this.#told.add(text);
      this.tell(text);
    }
  }
}
