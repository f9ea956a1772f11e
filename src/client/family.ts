// A metric with labels: gives the child for label values, whose calls do no look-up.

import type { Cell } from "./cells.ts";

/** What a label may be given as; numbers and booleans become text. */
export type LabelValue = string | number | boolean;

type Level<Child> = Map<string, Level<Child> | Child>;

export class Family<Child extends Cell, Label extends string = string> {
  readonly #children: Level<Child> = new Map();
  readonly #create: (labelValues: string[]) => Child;

  /** @internal */
  constructor(
    readonly name: string,
    readonly labelNames: readonly Label[],
    create: (labelValues: string[]) => Child,
  ) {
    this.#create = create;
  }

  /** The child for label values, by name: `requests.labels({ method: "GET", route: "/users/:id" })`. Keep it. */
  labels(values: Readonly<Record<Label, LabelValue>>): Child;
  /** The child for label values, in the order of the label names: `requests.labels("GET", "/users/:id")`. Keep it. */
  labels(...values: LabelValue[]): Child;
  labels(...given: [Readonly<Record<Label, LabelValue>>] | LabelValue[]): Child {
    const [first] = given;
    const values =
      typeof first === "object" ? this.#ordered(first) : (given as LabelValue[]).map(String);
    if (values.length !== this.labelNames.length) {
      throw new TypeError(
        `${this.name} has the labels [${this.labelNames.join(", ")}], got ${values.length} values`,
      );
    }
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

  #ordered(byName: Readonly<Record<string, LabelValue>>): string[] {
    const values = this.labelNames.map((label) => {
      const value = byName[label];
      if (value === undefined) {
        throw new TypeError(`${this.name}: the label ${JSON.stringify(label)} has no value`);
      }
      return String(value);
    });
    for (const label of Object.keys(byName)) {
      if (!(this.labelNames as readonly string[]).includes(label)) {
        throw new TypeError(
          `${this.name} has no label ${JSON.stringify(label)}, only [${this.labelNames.join(", ")}]`,
        );
      }
    }
    return values;
  }
}
