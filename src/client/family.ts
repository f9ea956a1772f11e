// A metric with labels: gives the child for label values, whose calls do no look-up.

import type { Cell } from "./cells.ts";

/** What a label may be given as; numbers and booleans become text. */
export type LabelValue = string | number | boolean;

type Level<Child> = Map<string, Level<Child> | Child>;

export class Family<Child extends Cell, Label extends string = string> {
  readonly #children: Level<Child> = new Map();
  readonly #create: (labelValues: string[]) => Child;
  readonly #forget: (child: Cell) => void;

  /** @internal */
  constructor(
    readonly name: string,
    readonly labelNames: readonly Label[],
    create: (labelValues: string[]) => Child,
    forget: (child: Cell) => void,
  ) {
    this.#create = create;
    this.#forget = forget;
  }

  /** The child for label values, by name: `requests.labels({ method: "GET", route: "/users/:id" })`. Keep it. */
  labels(values: Readonly<Record<Label, LabelValue>>): Child;
  /** The child for label values, in the order of the label names: `requests.labels("GET", "/users/:id")`. Keep it. */
  labels(...values: LabelValue[]): Child;
  labels(...given: [Readonly<Record<Label, LabelValue>>] | LabelValue[]): Child {
    const values = this.#values(given);
    const last = values.length - 1;
    let level = this.#children;
    for (let i = 0; i < last; i++) {
      const value = values[i]!;
      let next = level.get(value) as Level<Child> | undefined;
      if (next === undefined) {
        next = new Map();
        level.set(value, next);
      }
      level = next;
    }
    let child = level.get(values[last]!) as Child | undefined;
    if (child === undefined) {
      child = this.#create(values);
      level.set(values[last]!, child);
    }
    return child;
  }

  /**
   * Forgets the child for label values: what this thread has stored for it is nobody's, and its room is for others. A
   * handle that was kept counts into private memory; asking for the child again gives a new one, from zero.
   * @returns whether there was one
   */
  remove(values: Readonly<Record<Label, LabelValue>>): boolean;
  remove(...values: LabelValue[]): boolean;
  remove(...given: [Readonly<Record<Label, LabelValue>>] | LabelValue[]): boolean {
    const values = this.#values(given);
    const last = values.pop()!;
    const levels = [this.#children];
    for (const value of values) {
      const next = levels.at(-1)!.get(value) as Level<Child> | undefined;
      if (next === undefined) return false;
      levels.push(next);
    }
    const child = levels.at(-1)!.get(last) as Child | undefined;
    if (child === undefined) return false;
    levels.pop()!.delete(last);
    // Levels that are empty go with it.
    for (let i = levels.length - 1; i >= 0; i--) {
      if ((levels[i]!.get(values[i]!) as Level<Child>).size > 0) break;
      levels[i]!.delete(values[i]!);
    }
    this.#forget(child);
    return true;
  }

  /** @internal forgets all children */
  clear(): void {
    this.#forgetAll(this.#children);
    this.#children.clear();
  }

  #forgetAll(level: Level<Child>): void {
    for (const below of level.values()) {
      if (below instanceof Map) this.#forgetAll(below);
      else this.#forget(below);
    }
  }

  #values(given: [Readonly<Record<Label, LabelValue>>] | LabelValue[]): string[] {
    const [first] = given;
    const values =
      typeof first === "object" && first !== null
        ? this.#ordered(first)
        : (given as LabelValue[]).map((value, i) => this.#text(value, i));
    if (values.length !== this.labelNames.length) {
      throw new TypeError(
        `${this.name} has the labels [${this.labelNames.join(", ")}], got ${values.length} ${values.length === 1 ? "value" : "values"}`,
      );
    }
    return values;
  }

  #ordered(byName: Readonly<Record<string, LabelValue>>): string[] {
    const values = this.labelNames.map((label, i) => this.#text(byName[label], i));
    for (const label of Object.keys(byName)) {
      if (!(this.labelNames as readonly string[]).includes(label)) {
        throw new TypeError(
          `${this.name} has no label ${JSON.stringify(label)}, only [${this.labelNames.join(", ")}]`,
        );
      }
    }
    return values;
  }

  /** A label's value as text. Nothing at all is a mistake of the caller, not the text "undefined". */
  #text(value: LabelValue | undefined, place: number): string {
    // What is not Unicode reads back as U+FFFD: it is that series from the start, not another one in its place.
    if (typeof value === "string") return value.toWellFormed();
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    const label = JSON.stringify(this.labelNames[place] ?? place);
    if (value === undefined || value === null) {
      throw new TypeError(`${this.name}: the label ${label} has no value`);
    }
    throw new TypeError(
      `${this.name}: the label ${label} takes text or a number, not a ${typeof value}`,
    );
  }
}
