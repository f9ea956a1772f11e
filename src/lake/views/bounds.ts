// What a file's columns have at least and at most, by field id as Iceberg keeps it, for the catalogue. Texts are cut, so
// that a long message does not make a row of the catalogue long: the bounds are wider then, and hold all the same.

import type { Bounds } from "../catalogue/index.ts";
import { FILES, type FileView } from "./files.ts";

const BOUND_UNITS = 64;
const SURROGATE_FIRST = 0xd800;
const SURROGATE_LAST = 0xdfff;
const CODE_POINT_MAX = 0x10ffff;

/** By the name of a column, what DuckDB says of its values. Parts of a map have a dot in theirs. */
export type Statistics = ReadonlyMap<string, Readonly<Record<string, string>>>;

export function boundsOf(view: FileView, statistics: Statistics): Bounds {
  const bounds: Record<string, Bounds[string]> = {};
  for (const { name, id, type } of FILES[view].columns) {
    const known = statistics.get(name);
    if (known === undefined) continue;
    const isText = type === "VARCHAR";
    const min = isText ? leastText(known["min"]) : known["min"];
    const max = isText ? greatestText(known["max"]) : known["max"];
    bounds[id] = {
      ...(min === undefined ? {} : { min }),
      ...(max === undefined ? {} : { max }),
      nulls: Number(known["null_count"] ?? 0),
    };
  }
  return bounds;
}

/** A text that is not greater, and short. */
export function leastText(text: string | undefined): string | undefined {
  return text === undefined ? undefined : cut(text);
}

/** A text that is not less, and short: in the order of code points, which is that of UTF-8. */
export function greatestText(text: string | undefined): string | undefined {
  if (text === undefined || text.length <= BOUND_UNITS) return text;
  const points = Array.from(cut(text), (each) => each.codePointAt(0)!);
  while (points.at(-1) === CODE_POINT_MAX) points.pop();
  const last = points.pop();
  // Nothing short is greater.
  if (last === undefined) return undefined;
  const next = last + 1 === SURROGATE_FIRST ? SURROGATE_LAST + 1 : last + 1;
  return String.fromCodePoint(...points, next);
}

function cut(text: string): string {
  if (text.length <= BOUND_UNITS) return text;
  const isWithin = text.codePointAt(BOUND_UNITS - 1)! > 0xffff;
  return text.slice(0, isWithin ? BOUND_UNITS - 1 : BOUND_UNITS);
}
