// Rows as a table for people. The first rows decide how wide columns are; later ones are cut to that, so that an answer
// of any length is shown as it comes, in bounded memory. What is too wide for the terminal becomes a line per value.

import { fitLeft, fitRight, printable, type Style, textWidth } from "../../text/index.ts";
import type { Column, Row } from "../lake/answer-lines.ts";
import { type Cell, cellOf, isNumeric } from "./cell-text.ts";

export interface TableOptions {
  readonly style: Style;
  /** Of the terminal; without it lines are as long as they have to be. */
  readonly columns?: number | undefined;
}

/** Rows that decide on widths. */
const ROWS_MEASURED = 1_000;
const GAP = 2;
/** A column with less room tells nothing. */
const COLUMN_WIDTH_MIN = 8;
/** Where there is no terminal, one long value does not widen all the others' lines. */
const COLUMN_WIDTH_MAX = 200;

export class TableText {
  #waiting: Row[] = [];
  #layout: ((rows: readonly Row[]) => string) | undefined;

  constructor(
    readonly header: readonly Column[],
    readonly options: TableOptions,
  ) {}

  /** Takes rows. @returns what is to be shown now */
  rows(rows: readonly Row[]): string {
    if (this.#layout !== undefined) return this.#layout(rows);
    for (const row of rows) this.#waiting.push(row);
    return this.#waiting.length >= ROWS_MEASURED ? this.#begin() : "";
  }

  /** After the last row. */
  end(): string {
    return this.#layout === undefined ? this.#begin() : "";
  }

  #begin(): string {
    const names = this.header.map(({ name }) => printable(name));
    const waiting = this.#waiting;
    this.#waiting = [];
    const widths = widthsOf(names, waiting, this.options.columns);
    this.#layout =
      widths === undefined
        ? recordLayout(names, this.options)
        : tableLayout(names, this.header, widths, this.options);
    return this.#layout(waiting);
  }
}

/** How wide columns are; undefined if they find no room beside each other. */
function widthsOf(
  names: readonly string[],
  rows: readonly Row[],
  room: number | undefined,
): number[] | undefined {
  const widths = names.map((name, i) => {
    const widest = rows.reduce(
      (most, row) => Math.max(most, textWidth(cellOf(row[i]).text)),
      Math.max(1, textWidth(name)),
    );
    return room === undefined ? Math.min(widest, COLUMN_WIDTH_MAX) : widest;
  });
  if (room === undefined) return widths;
  const least = widths.map((width) => Math.min(width, COLUMN_WIDTH_MIN));
  const left = room - GAP * (widths.length - 1);
  if (sum(least) > left) return undefined;
  return shrunk(widths, left);
}

/** Takes from the widest until all have room. */
function shrunk(widths: readonly number[], room: number): number[] {
  const result = [...widths];
  let over = sum(result) - room;
  while (over > 0) {
    const most = Math.max(...result);
    const widest = result.flatMap((width, i) => (width === most ? [i] : []));
    const next = Math.max(COLUMN_WIDTH_MIN, ...result.filter((width) => width < most));
    const each = Math.max(1, Math.min(most - next, Math.ceil(over / widest.length)));
    for (const i of widest) {
      const taken = Math.min(each, over);
      result[i]! -= taken;
      over -= taken;
      if (over <= 0) break;
    }
  }
  return result;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function tableLayout(
  names: readonly string[],
  header: readonly Column[],
  widths: readonly number[],
  { style }: TableOptions,
): (rows: readonly Row[]) => string {
  const isRight = header.map(({ type }) => isNumeric(type));
  const fit = (text: string, i: number) => (isRight[i] ? fitRight : fitLeft)(text, widths[i]!);
  const gap = " ".repeat(GAP);
  const title = names.map((name, i) => style.bold(fit(name, i))).join(gap);
  const rule = style.dim(widths.map((width) => "─".repeat(width)).join(gap));
  let head = `${title.trimEnd()}\n${rule}\n`;
  return (rows) => {
    let text = head;
    head = "";
    for (const row of rows) {
      const cells = names.map((_, i) => {
        const cell = cellOf(row[i]);
        return styled(cell, fit(cell.text, i), style);
      });
      text += `${cells.join(gap).trimEnd()}\n`;
    }
    return text;
  };
}

/** A line per value, as wide rows are read. */
function recordLayout(
  names: readonly string[],
  { style, columns = 80 }: TableOptions,
): (rows: readonly Row[]) => string {
  const nameWidth = Math.min(Math.floor(columns / 2), Math.max(...names.map(textWidth)));
  let number = 0;
  return (rows) => {
    let text = "";
    for (const row of rows) {
      number++;
      const title = `── row ${number} `;
      text += `${style.dim(title + "─".repeat(Math.max(0, Math.min(columns, 60) - title.length)))}\n`;
      names.forEach((name, i) => {
        const cell = cellOf(row[i]);
        const fitted = fitLeft(cell.text, columns - nameWidth - GAP).trimEnd();
        text += `${style.bold(fitLeft(name, nameWidth))}${" ".repeat(GAP)}${styled(cell, fitted, style)}\n`;
      });
    }
    return text;
  };
}

function styled(cell: Cell, text: string, style: Style): string {
  return cell.kind === "null" ? style.dim(text) : text;
}
