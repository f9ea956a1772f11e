// From the attributes of a call to what stores its value, on the hot path: no text is made and nothing is sorted.
//
// Objects of attributes are made again for each call, and a caller that keeps one may change it: only keys and values say
// which series is meant. The keys of a call site come in one order, so the order that was met last is compared first;
// a value is then a look-up in a map.

import type { Attributes } from "@opentelemetry/api";

/** Values of the first key; those of the second; and so on to what stores. */
type Level = Map<unknown, unknown>;

/** Keys in the order in which they come. */
interface Shape {
  readonly keys: readonly string[];
  readonly next: Map<string, Shape>;
  values: Level;
}

function shapeOf(keys: readonly string[]): Shape {
  return { keys, next: new Map(), values: new Map() };
}

export class AttributeCache<Target extends object> {
  #root = shapeOf([]);
  #last = this.#root;
  #count = 0;
  /** For no attributes. */
  #bare: Target | undefined;

  /** @param max entries; when there are more, all are forgotten, and found again by who is asked then */
  constructor(readonly max: number) {}

  /** What was put for the same keys in the same order with the same values. */
  get(attributes: Attributes): Target | undefined {
    const { keys, values } = this.#last;
    let at: unknown = values;
    let i = 0;
    for (const key in attributes) {
      if (key !== keys[i]) return this.#find(attributes);
      at = (at as Level).get(attributes[key]);
      if (at === undefined) return this.#find(attributes);
      i++;
    }
    if (i === 0) return this.#bare;
    return i === keys.length ? (at as Target) : this.#find(attributes);
  }

  /** Remembers what stores for attributes, unless their values may change. */
  put(attributes: Attributes, target: Target): void {
    const path: unknown[] = [];
    let shape = this.#root;
    for (const key in attributes) {
      const value = attributes[key];
      if (isMutable(value)) return;
      path.push(value);
      let next = shape.next.get(key);
      if (next === undefined) {
        next = shapeOf([...shape.keys, key]);
        shape.next.set(key, next);
      }
      shape = next;
    }
    const last = path.pop();
    if (shape === this.#root) {
      this.#bare = target;
      return;
    }
    let level = shape.values;
    for (const value of path) {
      let next = level.get(value) as Level | undefined;
      if (next === undefined) {
        next = new Map();
        level.set(value, next);
      }
      level = next;
    }
    level.set(last, target);
    this.#last = shape;
    if (++this.#count < this.max) return;
    this.#root = shapeOf([]);
    this.#last = this.#root;
    this.#count = 0;
  }

  #find(attributes: Attributes): Target | undefined {
    let shape: Shape | undefined = this.#root;
    for (const key in attributes) {
      shape = shape.next.get(key);
      if (shape === undefined) return undefined;
    }
    if (shape === this.#root) return undefined;
    let at: unknown = shape.values;
    for (const key of shape.keys) {
      at = (at as Level).get(attributes[key]);
      if (at === undefined) return undefined;
    }
    this.#last = shape;
    return at as Target;
  }
}

function isMutable(value: unknown): boolean {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
