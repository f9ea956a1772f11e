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

/** The same for what is an object for certain, and quick when the labels come in the order of the names. */
export function checkLabelsOf(names: readonly string[], labels: Labels): void {
  const given = Object.keys(labels);
  for (let i = 0; i < given.length; i++) {
    if (given[i] !== names[i] && !names.includes(given[i]!)) refuse(names, given[i]!);
  }
}

function refuse(names: readonly string[], label: string): never {
  throw new Error(`Added label "${label}" is not included in initial labelset: ${inspect(names)}`);
}

/**
 * What `labels(…)` and `remove(…)` are given: one object, or the values in the order of the names.
 * @throws Error when there are more or fewer values than names
 */
export function labelsFrom(names: readonly string[], given: readonly unknown[]): Labels {
  if (typeof given[0] === "object") return given[0] as Labels;
  if (names.length !== given.length) {
    throw new Error(
      `Invalid number of arguments (${given.length}): "${given.join(", ")}" ` +
        `for label names (${names.length}): "${names.join(", ")}".`,
    );
  }
  return Object.fromEntries(names.map((name, i) => [name, given[i]]));
}
