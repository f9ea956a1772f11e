// The children of a metric by their label values. A look-up is one Map per label, keyed by the value's text: nothing is
// put together to be hashed, and what is removed leaves nothing behind.

import { checkLabels, type Given, type Labels, labelText } from "./labels.ts";

/** A metric's values for some labels. */
export interface Child<H> {
  labels: Labels;
  /** What it stores by; nothing once the metric has it no more. Who has kept it then looks again. */
  handle: H | undefined;
}

type Level<C> = Map<string | undefined, Level<C> | C>;

export class Children<C extends Child<unknown>> implements Iterable<C> {
  /** The child of calls without any label. */
  plain: C | undefined;
  readonly #names: readonly string[];
  /** The first label's level; of a metric without labels the child itself. */
  #top: Level<C> | C | undefined;
  /** In the order in which they were made, which is the order of the exposition. */
  readonly #all = new Set<C>();

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  /**
   * The child for labels, if there is one. Quick when they come in the order of the names.
   * @throws Error for a label that the metric does not have
   */
  find(labels: Labels): C | undefined {
    const names = this.#names;
    let node = this.#top;
    let i = 0;
    for (const name in labels) {
      if (names[i++] !== name || node === undefined) return this.#findSome(labels);
      const value = labels[name];
      node = (node as Level<C>).get(typeof value === "string" ? value : labelText(value));
    }
    return i === names.length ? (node as C | undefined) : this.#findSome(labels);
  }

  /** The same for what `labels(…)` was given, whose names are checked. */
  findGiven(given: Given): C | undefined {
    if (!Array.isArray(given)) return this.findUnchecked(given as Labels);
    let node = this.#top;
    for (let i = 0; i < given.length && node !== undefined; i++) {
      const value = given[i];
      node = (node as Level<C>).get(typeof value === "string" ? value : labelText(value));
    }
    return node as C | undefined;
  }

  /** The same without a look at the names: what the metric does not have is ignored. */
  findUnchecked(labels: Labels): C | undefined {
    let node = this.#top;
    for (const name of this.#names) {
      const text = labelText(labels[name]);
      node = (node as Level<C> | undefined)?.get(text);
    }
    return node as C | undefined;
  }

  /** Adds a child that is not there yet. */
  add(child: C): void {
    const texts = this.#texts(child.labels);
    if (texts.every((text) => text === undefined)) this.plain = child;
    this.#all.add(child);
    const last = texts.pop();
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

  /** Takes a child out. @returns the handle that it had, if it was there */
  delete(labels: Labels): C["handle"] {
    const child = this.findUnchecked(labels);
    if (child === undefined) return undefined;
    const { handle } = child;
    child.handle = undefined;
    this.#all.delete(child);
    if (this.plain === child) this.plain = undefined;
    if (this.#all.size === 0) this.#top = undefined;
    else this.#prune(this.#texts(labels));
    return handle;
  }

  /** Takes all of them out. */
  clear(): void {
    for (const child of this.#all) child.handle = undefined;
    this.#all.clear();
    this.#top = undefined;
    this.plain = undefined;
  }

  [Symbol.iterator](): Iterator<C> {
    return this.#all.values();
  }

  /** Labels in another order, some of them, or others. */
  #findSome(labels: Labels): C | undefined {
    checkLabels(this.#names, labels);
    return this.findUnchecked(labels);
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
