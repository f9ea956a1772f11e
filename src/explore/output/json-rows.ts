// Rows as NDJSON for programs: an object a line, with the names of the columns.

import { safeJson } from "../../text/index.ts";
import type { Column, Row } from "../lake/answer-lines.ts";

/**
 * Makes the text of rows. Whole numbers beyond 2^53 are text, as lakes have them, so that no reader loses a digit. Of columns with the same name, the second is called `name_2`.
 */
export function jsonRows(columns: readonly Column[]): (rows: readonly Row[]) => string {
  const keys = distinctNames(columns).map((name) => safeJson(name));
  return (rows) => {
    let text = "";
    for (const row of rows) {
      const pairs = keys.map((key, i) => `${key}:${jsonOf(row[i])}`);
      text += `{${pairs.join(",")}}\n`;
    }
    return text;
  };
}

/** What JSON writes as it is; nearly every text is. */
const PLAIN = /^[ !#-[\]-~]*$/;

function jsonOf(value: unknown): string {
  switch (typeof value) {
    case "string":
      return PLAIN.test(value) ? `"${value}"` : safeJson(value);
    case "number":
    case "boolean":
      return String(value);
    case "bigint":
      return `"${value}"`;
  }
  if (typeof value !== "object" || value === null) return "null";
  if (Array.isArray(value)) return `[${value.map(jsonOf).join(",")}]`;
  const pairs = Object.entries(value).map(([key, each]) => `${safeJson(key)}:${jsonOf(each)}`);
  return `{${pairs.join(",")}}`;
}

function distinctNames(columns: readonly Column[]): string[] {
  const seen = new Map<string, number>();
  return columns.map(({ name }) => {
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times === 1 ? name : `${name}_${times}`;
  });
}
