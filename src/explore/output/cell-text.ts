// A value of a row as text: for a cell of a table, where no byte of it may be an order to the terminal, and as JSON.

import { printable } from "../../text/index.ts";

/** How a cell looks, apart from its text. */
export type CellKind = "null" | "number" | "text";

export interface Cell {
  readonly text: string;
  readonly kind: CellKind;
}

const NULL: Cell = { text: "null", kind: "null" };

/** What stands in a cell. */
export function cellOf(value: unknown): Cell {
  switch (typeof value) {
    case "string":
      return { text: printable(value), kind: "text" };
    case "number":
    case "bigint":
      return { text: numberText(value), kind: "number" };
    case "boolean":
      return { text: String(value), kind: "text" };
    default:
      return value === null || value === undefined ? NULL : { text: nested(value), kind: "text" };
  }
}

/** Sums of doubles have digits that nobody wants to read; at 15 significant ones all decimals that were typed come back. */
function numberText(value: number | bigint): string {
  return typeof value === "number" && !Number.isInteger(value)
    ? String(Number(value.toPrecision(15)))
    : String(value);
}

/** `{user: 7, route: /login}` */
function nested(value: unknown): string {
  if (Array.isArray(value)) {
    return isEntries(value)
      ? `{${value.map(({ key, value }) => pair(key, value)).join(", ")}}`
      : `[${value.map((each) => cellOf(each).text).join(", ")}]`;
  }
  const pairs = Object.entries(value as object).map(([key, each]) => pair(key, each));
  return `{${pairs.join(", ")}}`;
}

function pair(key: unknown, value: unknown): string {
  return `${cellOf(key).text}: ${cellOf(value).text}`;
}

/** A map, in the way in which DuckDB lists it. */
function isEntries(value: readonly unknown[]): value is { key: unknown; value: unknown }[] {
  return (
    value.length > 0 &&
    value.every((each) => {
      const keys = Object.keys((each ?? {}) as object);
      return keys.length === 2 && keys[0] === "key" && keys[1] === "value";
    })
  );
}

/** Types whose columns stand at the right. */
const NUMERIC = /^(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|FLOAT|DOUBLE|REAL|DECIMAL|NUMERIC)\b/i;

export function isNumeric(type: string): boolean {
  return NUMERIC.test(type) && !type.endsWith("]");
}
