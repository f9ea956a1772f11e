// Errors about globs that match nothing, with the nearest name. A subcommand fails with them in the end.

import { nearest } from "../../command-line/index.ts";
import { globs } from "../../layout/index.ts";
import { printable } from "../../sinks/index.ts";

/** How many names are listed when none is near. */
const NAMES_SHOWN = 8;

export interface Unmatched {
  message: string;
  /** What may have been meant, or what there is. */
  hint: string;
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
