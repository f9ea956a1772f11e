// The answer to a query, as it comes: NDJSON of columns, rows, progress and an end (docs/query.md). Anybody may have
// answered, so nothing of it is taken for what it should be before it is looked at.

import { foreignWords } from "../../calling/index.ts";
import { LakeError, type ToldError } from "./lake-error.ts";

export interface Column {
  readonly name: string;
  /** As DuckDB calls it, e.g. `VARCHAR`, `MAP(VARCHAR, VARCHAR)`. */
  readonly type: string;
}

/** Values in the order of the columns. Whole numbers beyond 2^53 are `bigint`. */
export type Row = readonly unknown[];

/** How a query went, as the lake says at the end. */
export interface Ending {
  readonly rows: number;
  readonly ms: number;
  /** Files that were read. */
  readonly files: number;
}

/** A piece of an answer. Columns come first, then rows and progress, then the end. */
export type Part =
  | { kind: "columns"; columns: readonly Column[] }
  | { kind: "rows"; rows: readonly Row[] }
  | { kind: "progress"; share: number }
  | { kind: "end"; ending: Ending };

/** A line that is longer is no row of a lake's. */
const LINE_CHARACTERS_MAX = 64 * 2 ** 20;

/**
 * The parts of an answer.
 * @throws LakeError for what the lake says went wrong, an answer that is cut short, and one that is none
 */
export async function* partsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Part> {
  const decoder = new TextDecoder();
  let rest = "";
  let columns: number | undefined;
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    if (rest.length > LINE_CHARACTERS_MAX) throw strange("a line of it is longer than 64 MiB");
    let rows: Row[] = [];
    for (const line of lines) {
      if (line === "") continue;
      const value = parsed(line);
      if (Array.isArray(value)) {
        if (value.length !== columns) throw strange("a row has other columns than it says");
        rows.push(value);
        continue;
      }
      if (rows.length > 0) yield { kind: "rows", rows };
      rows = [];
      const part = partOf(value);
      if (part === undefined) continue;
      if (part.kind === "columns") columns = part.columns.length;
      yield part;
      if (part.kind === "end") return;
    }
    if (rows.length > 0) yield { kind: "rows", rows };
  }
  throw new LakeError(
    "the answer of the lake is cut short",
    "ask again; if that does not help, the log of the lake says why",
  );
}

function partOf(value: unknown): Part | undefined {
  if (typeof value !== "object" || value === null) throw strange("a line of it is no object");
  const { columns, progress, end, error } = value as Record<string, unknown>;
  if (error !== undefined) throw toldError(error as ToldError);
  if (Array.isArray(columns)) return { kind: "columns", columns: columns.map(columnOf) };
  if (typeof progress === "number") {
    return { kind: "progress", share: Math.min(1, Math.max(0, progress)) };
  }
  if (typeof end === "object" && end !== null) {
    const { rows, ms, files } = end as Record<string, unknown>;
    return { kind: "end", ending: { rows: count(rows), ms: count(ms), files: count(files) } };
  }
  // What a later version may say besides.
  return undefined;
}

function columnOf(value: unknown): Column {
  const { name, type } = (value ?? {}) as Record<string, unknown>;
  if (typeof name !== "string") throw strange("a column has no name");
  return { name, type: typeof type === "string" ? type : "" };
}

function count(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : 0;
}

/** What a lake says went wrong, as an error for people. */
export function toldError(told: ToldError | undefined, fallback?: string): LakeError {
  const { code, message, hint, position } = told ?? {};
  return new LakeError(
    multiline(message) ?? fallback ?? "the lake does not say what went wrong",
    multiline(hint),
    typeof position === "number" && position >= 0 ? Math.floor(position) : undefined,
    foreignWords(code),
  );
}

/** Messages of DuckDB have several lines. */
function multiline(text: unknown): string | undefined {
  if (typeof text !== "string") return undefined;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines
    .slice(0, 12)
    .map((line) => foreignWords(line.replaceAll("\t", "  ")))
    .join("\n");
}

function strange(why: string): LakeError {
  return new LakeError(
    `what answers is no lake: ${why}`,
    "--lake names the address of `microview lake`",
  );
}

/** Doubles have 53 bits, and times in nanoseconds have more. Lakes of ours write them as text. */
const MAY_HAVE_LONG_INTEGER = /[[,:] ?-?\d{16}/;

function parsed(line: string): unknown {
  try {
    return MAY_HAVE_LONG_INTEGER.test(line)
      ? JSON.parse(line, keepLongInteger as (key: string, value: unknown) => unknown)
      : JSON.parse(line);
  } catch {
    throw strange("a line of it is no JSON");
  }
}

/** The text of a number is given by ECMAScript's proposal "JSON.parse source text access". */
function keepLongInteger(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? "";
  return /^-?\d+$/.test(source) ? BigInt(source) : value;
}
