// Shows where in a text of SQL an error is: the line, and a caret below the place.

import { cutText, printable, textWidth } from "../../text/index.ts";

const CONTEXT_COLUMNS = 100;

/**
 * The line of an error and a caret below it; undefined when the place is not in the text.
 * @param position how much of the text comes before the place, in UTF-16 units
 */
export function caretLines(sql: string, position: number | undefined): string[] | undefined {
  if (position === undefined || position > sql.length) return undefined;
  const before = sql.slice(0, position);
  const number = before.split("\n").length;
  const inLine = before.slice(before.lastIndexOf("\n") + 1);
  const line = sql.split("\n")[number - 1]!;
  const prefix = sql.includes("\n") ? `line ${number}: ` : "";
  // A long line is shown around the place.
  const begin = shownFrom(inLine);
  const lead = begin > 0 ? "…" : "";
  const shown = cutText(lead + shownText(line.slice(begin)), CONTEXT_COLUMNS);
  const column = textWidth(prefix + lead + shownText(inLine.slice(begin)));
  return [prefix + shown, `${" ".repeat(column)}^`];
}

function shownText(text: string): string {
  return printable(text.replaceAll("\t", " ")).replaceAll("\\\\", "\\");
}

/** Half of what is shown may come before the place. */
function shownFrom(inLine: string): number {
  return inLine.length <= CONTEXT_COLUMNS / 2 ? 0 : inLine.length - CONTEXT_COLUMNS / 2;
}
