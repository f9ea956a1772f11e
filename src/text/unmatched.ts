// Errors about globs that match nothing, with the nearest name. A subcommand fails with them in the end.

import { globs } from "./globs.ts";
import { nearest } from "./nearest.ts";
import { printable } from "./printable.ts";

/** How many names are listed when none is near. */
const NAMES_SHOWN = 8;

export interface Unmatched {
  message: string;
  /** What may have been meant, or what there is. */
  hint: string;
}

/** Of globs that fit something each, but nothing together. */
export const NOTHING_FITS_ALL: Unmatched = {
  message: "no series matches",
  hint: "each of the globs fits something, but nothing fits all of them",
};

/** A glob matches nothing: a typing error must not look like an empty answer. */
export class UnmatchedError extends Error {
  override readonly name = "UnmatchedError";
  readonly hint: string;

  constructor({ message, hint }: Unmatched) {
    super(message);
    this.hint = hint;
  }
}

/**
 * Globs that fit none of the names.
 * @param what such a name is, e.g. "metric"
 */
export function unmatched(
  what: string,
  patterns: readonly string[],
  names: Iterable<string>,
): Unmatched[] {
  const distinct = [...new Set(names)].sort();
  return patterns
    .filter((pattern) => !distinct.some(globs([pattern])))
    .map((pattern) => ({
      message: `no ${what} matches '${printable(pattern)}'`,
      hint: hintFor(what, pattern, distinct.map(printable)),
    }));
}

function hintFor(what: string, pattern: string, names: readonly string[]): string {
  const meant = nearest(pattern, names);
  if (meant !== undefined) return `did you mean ${meant}?`;
  if (names.length === 0) return `there are no ${what}s`;
  const more = names.length > NAMES_SHOWN ? ", …" : "";
  return `there ${names.length === 1 ? "is only" : "are"} ${names.slice(0, NAMES_SHOWN).join(", ")}${more}`;
}
