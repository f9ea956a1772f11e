// The children of a metric by their label values. A look-up is one Map per label, keyed by the value's text: nothing is
// put together to be hashed, and what is removed leaves nothing behind.

import { type Labels, labelText } from "./labels.ts";

/** A metric's values for some labels. */
export interface Child {
  labels: Labels;
  /** Whether the metric still has it: who kept it looks again when not. */
  live: boolean;
}

type Level<C> = Map<string | undefined, Level<C> | C>;

export class Children<C extends Child> implements Iterable<C> {
  readonly #names: readonly string[];
  /** The first label's level; of a metric without labels the child itself. */
  #top: Level<C> | C | undefined;
  /** In the order in which they were made, which is the order of the exposition. */
  readonly #all = new Set<C>();

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  find(labels: Labels): C | undefined {
    const names = this.#names;
    let node = this.#top;
    for (let i = 0; i < names.length && node !== undefined; i++) {
      const value = labels[names[i]!];
      node = (node as Level<C>).get(typeof value === "string" ? value : labelText(value));
    }
    return node as C | undefined;
  }

  /** Adds a child that is not there yet. */
  add(labels: Labels, child: C): void {
    const texts = this.#texts(labels);
    const last = texts.pop();
    this.#all.add(child);
    if (this.#names.length === 0) {
      this.#top = child;
      return;
    }
    this.#top ??= new Map();
    let level = this.#top as Level<C>;
    for (const text of texts) {
      let next = level.get(text) as Level<C> | undefined;
      if (next === undefined) {
        next = new Map();
        level.set(text, next);
      }
      level = next;
    }
    level.set(last, child);
  }

  /** Takes a child out. @returns it, if it was there */
  delete(labels: Labels): C | undefined {
    const child = this.find(labels);
    if (child === undefined) return undefined;
    child.live = false;
    this.#all.delete(child);
    if (this.#all.size === 0) this.#top = undefined;
    else this.#prune(this.#texts(labels));
    return child;
  }

  /** Takes all of them out. */
  clear(): void {
    for (const child of this.#all) child.live = false;
    this.#all.clear();
    this.#top = undefined;
  }

  [Symbol.iterator](): Iterator<C> {
    return this.#all.values();
  }

  #texts(labels: Labels): (string | undefined)[] {
    return this.#names.map((name) => labelText(labels[name]));
  }

  #prune(texts: readonly (string | undefined)[]): void {
    const levels: Level<C>[] = [this.#top as Level<C>];
    for (const text of texts.slice(0, -1)) levels.push(levels.at(-1)!.get(text) as Level<C>);
    for (let i = texts.length - 1; i >= 0; i--) {
      levels[i]!.delete(texts[i]);
      if (levels[i]!.size > 0) return;
    }
  }
}
