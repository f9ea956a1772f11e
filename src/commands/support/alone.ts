// Flags that say how, without the one that says what: they would be ignored, so they are refused. For subcommands whose
// groups of flags belong to one of them, e.g. `--otlp-format` to `--otlp`.

import { flag, UsageError } from "../../command-line/index.ts";

/**
 * @param main the flag that all others that begin with its name belong to; none of them may have a default
 * @throws UsageError for one of them when `main` is not given
 */
export function refuseAlone(options: object, main: string): void {
  const given = Object.entries(options).flatMap(([name, value]) => (isGiven(value) ? [name] : []));
  if (given.includes(main)) return;
  const alone = given.find((name) => name.startsWith(main));
  if (alone === undefined) return;
  throw new UsageError(`${flag.flagName(alone)} needs ${flag.flagName(main)}`);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
}
