// What callers without types pass: each option is looked at before it is used, so that the error names it.

import { DefinitionError, LEVELS } from "../layout/index.ts";

const KINDS = {
  string: ["a string", (given: unknown) => typeof given === "string"],
  text: [
    "a string that is not empty",
    (given: unknown) => typeof given === "string" && given !== "",
  ],
  boolean: ["true or false", (given: unknown) => typeof given === "boolean"],
  share: [
    "a number from 0 to 1",
    (given: unknown) => typeof given === "number" && given >= 0 && given <= 1,
  ],
  rate: ["a number above 0", (given: unknown) => typeof given === "number" && given > 0],
  level: [
    `one of ${[...LEVELS, "off"].join(", ")}`,
    (given: unknown) => (LEVELS as readonly unknown[]).includes(given) || given === "off",
  ],
  function: ["a function", (given: unknown) => typeof given === "function"],
  strings: ['an array of strings, e.g. ["route", "status"]', arrayOf("string")],
  numbers: ["an array of numbers, e.g. [0.1, 1, 10]", arrayOf("number")],
} as const satisfies Record<string, readonly [string, (given: unknown) => boolean]>;

export type Kind = keyof typeof KINDS;

function arrayOf(type: "string" | "number") {
  return (given: unknown) =>
    (Array.isArray(given) || given instanceof Float64Array) &&
    [...given].every((each) => typeof each === type);
}

/**
 * @param what names the call, e.g. `new MicroView`
 * @param kinds what each option has to be, if it is given
 * @param required with an example of each that has to be
 * @throws DefinitionError naming the first that is missing or of another kind
 */
export function checkOptions(
  what: string,
  options: unknown,
  kinds: Readonly<Record<string, Kind>>,
  required: Readonly<Record<string, string>> = {},
): void {
  const example = Object.entries(required).map(([name, value]) => `${name}: "${value}"`);
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const given = example.length === 0 ? "" : `, e.g. { ${example.join(", ")} }`;
    throw new DefinitionError(`${what}: the options have to be an object${given}`);
  }
  for (const [name, kind] of Object.entries(kinds)) {
    const given = (options as Record<string, unknown>)[name];
    if (given === undefined) {
      if (!Object.hasOwn(required, name)) continue;
      throw new DefinitionError(`${what}: ${name} is missing: give { ${example.join(", ")} }`);
    }
    checkKind(`${what}: ${name}`, given, kind);
  }
}

/** @throws DefinitionError for an option that is not known, such as `labelNames` of other libraries */
export function checkKnown(what: string, options: object, known: readonly string[]): void {
  const unknown = Object.entries(options).find(
    ([name, given]) => given !== undefined && !known.includes(name),
  );
  if (unknown === undefined) return;
  throw new DefinitionError(`${what} has no option ${unknown[0]}; it takes ${known.join(", ")}`);
}

/** @throws DefinitionError for a value of another kind */
export function checkKind(what: string, given: unknown, kind: Kind): void {
  const [words, isOne] = KINDS[kind];
  if (!isOne(given)) throw new DefinitionError(`${what} has to be ${words}, got ${shown(given)}`);
}

function shown(given: unknown): string {
  if (typeof given === "string") return JSON.stringify(given.slice(0, 40));
  if (typeof given === "object" && given !== null)
    return Array.isArray(given) ? "an array" : "an object";
  return typeof given === "function" ? "a function" : String(given);
}
