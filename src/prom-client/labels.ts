// Labels as prom-client takes them: any object, any values, some or all of the names. Used by every kind of metric.

import { inspect } from "node:util";

/** Label values by name. They are text in the end, whatever they are given as; names may be left out. */
export type Labels = Readonly<Record<string, unknown>>;

export const NO_LABELS: Labels = Object.freeze({});

export function isObject(value: unknown): value is object {
  return value !== null && typeof value === "object";
}

/** What label values are told apart by: their text, or nothing for one that was left out. */
export function labelText(value: unknown): string | undefined {
  return typeof value === "string" || value === undefined ? (value as string) : `${value}`;
}

/** @throws Error naming the first label that the metric does not have */
export function checkLabels(names: readonly string[], labels: unknown): void {
  for (const label in labels as Labels) {
    if (!names.includes(label)) refuse(names, label);
  }
}

function refuse(names: readonly string[], label: string): never {
  throw new Error(`Added label "${label}" is not included in initial labelset: ${inspect(names)}`);
}

/** What `labels(…)` was given: an object of its own, or values in the order of the names. */
export type Given = Labels | readonly unknown[];

/**
 * Takes what `labels(…)` is given: one object, or the values in the order of the names.
 * @throws Error when there are more or fewer values than names
 */
export function labelsGiven(names: readonly string[], given: readonly unknown[]): Given {
  const [first] = given;
  // null stays null: a child that nothing can be done with, as in prom-client.
  if (typeof first === "object") return first === null ? (first as never) : { ...first };
  if (names.length !== given.length) {
    throw new Error(
      `Invalid number of arguments (${given.length}): "${given.join(", ")}" ` +
        `for label names (${names.length}): "${names.join(", ")}".`,
    );
  }
  return given;
}

/** Labels by name. */
export function labelsByName(names: readonly string[], given: Given): Labels {
  if (!Array.isArray(given)) return given as Labels;
  const labels: Record<string, unknown> = {};
  for (let i = 0; i < names.length; i++) labels[names[i]!] = given[i];
  return labels;
}
