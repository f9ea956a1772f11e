// What DuckDB says went wrong, in our words: which code it has, where in the caller's text, and no paths of files. Used
// by the query process, whose DuckDB writes errors as JSON.

import { nearest } from "../../text/index.ts";
import { offsetOfBytes, offsetOfCharacters, placeOf, QueryError } from "./query-error.ts";

/** What places in errors are counted in. */
export interface ErrorPlace {
  /** The caller's text. */
  sql: string;
  /** Where in it the SELECT begins. */
  from: number;
  /** Length of what stands before the SELECT where it is run. */
  prefixLength: number;
  /** The lake's tables that the SQL names. */
  tables?: readonly string[];
  /** Their columns. */
  columns?: readonly string[];
}

/** DuckDB's error, with `errors_as_json`. */
interface DuckDbError {
  exception_type: string;
  exception_message: string;
  position?: string;
  candidates?: string;
}

/** Hints by the kind of exception. */
const HINTS: Readonly<Record<string, string>> = {
  Parser: "correct the SQL",
  Catalog: "correct the SQL",
  Conversion: "TRY_CAST gives NULL for what cannot be converted",
  "Out of Range": "cast to a larger type before, for example to DOUBLE",
};

/** An error of ours out of any that DuckDB threw. */
export function sqlError(error: unknown, place: ErrorPlace): QueryError {
  if (error instanceof QueryError) return error;
  const { message } = error as Error;
  const { exception_type: type, exception_message: text, position } = parsed(message);
  if (type === "Out of Memory" || /bad_alloc|allocation failure/i.test(text)) return outOfMemory();
  const code = type === "Parser" ? "sql-syntax" : "sql-error";
  const said = withoutPaths(text.split("\n\nLINE ")[0]!.trim());
  const offset = offsetOf(position, type, place);
  const where = offset === undefined ? undefined : placeOf(place.sql, offset);
  const unknown = unknownName(said, place, offset);
  const hint = HINTS[type] ?? (type === "Binder" ? columnsHint(place) : "correct the SQL");
  const { message: inOurWords = said, hint: better = hint } = unknown ?? {};
  return new QueryError(code, inOurWords, better, 400, where);
}

/** DuckDB's words for a column that is not there, each with the column's name first, or behind its table's. */
const NO_COLUMN = [
  /^Referenced column "(?<name>.*)" not found in FROM clause!/,
  /^(?:Values list|Table) "(?<table>.*)" does not have a column named "(?<name>.*)"/,
  /^Column "(?<name>.*)" in (?:EXCLUDE|REPLACE|RENAME) list not found/,
  /^Column "(?<name>.*)" does not exist on (?:left|right) side of join!/,
];
const NO_TABLE = /^Referenced table "(?<name>.*)" not found!/;
const NAME_CHARACTERS_MAX = 80;

/** What DuckDB says about a column or table that is not there, in our words; undefined for any other error. */
function unknownName(
  said: string,
  place: ErrorPlace,
  offset: number | undefined,
): { message: string; hint: string } | undefined {
  const [line = "", ...more] = said.split("\n");
  const candidates = more
    .filter((each) => each.startsWith("Candidate "))
    .flatMap((each) => [...each.matchAll(/"([^"]+)"/g)].map(([, name]) => name!));
  const tableless = NO_TABLE.exec(line)?.groups?.["name"];
  if (tableless !== undefined) {
    const name = tableless.slice(0, NAME_CHARACTERS_MAX);
    return {
      message: `there is no table ${name} in FROM`,
      hint: didYouMean(name, candidates) ?? `FROM has ${candidates.join(", ") || "no table"}`,
    };
  }
  const found = NO_COLUMN.map((pattern) => pattern.exec(line)?.groups).find(Boolean);
  if (found === undefined) return undefined;
  const name = found["name"]!.slice(0, NAME_CHARACTERS_MAX);
  const owner = found["table"] === undefined ? "" : ` in ${found["table"]}`;
  const hint = didYouMean(name, [...(place.columns ?? []), ...candidates]) ?? columnsHint(place);
  const isQuoted = offset !== undefined && place.sql[offset] === '"';
  const quotes = `text is written in single quotes: '${name.replaceAll("'", "''")}'`;
  return {
    message: `there is no column ${name}${owner}`,
    hint: isQuoted ? `${quotes}; ${hint}` : hint,
  };
}

function didYouMean(name: string, candidates: readonly string[]): string | undefined {
  const meant = nearest(name, candidates);
  return meant === undefined ? undefined : `did you mean ${meant}?`;
}

function columnsHint({ tables = [] }: ErrorPlace): string {
  const [first, ...others] = tables;
  if (first === undefined) return "correct the SQL";
  return others.length === 0
    ? `DESCRIBE ${first} tells its columns`
    : `DESCRIBE tells the columns of one table: ${tables.join(", ")}`;
}

export function outOfMemory(): QueryError {
  return new QueryError(
    "out-of-memory",
    "the query needs more memory than a query may have",
    "ask for a shorter range, fewer columns or fewer groups, or give the lake a larger --query-memory",
    422,
  );
}

/** The error for files that are there, but cannot be read. */
export function unreadable(error: unknown): QueryError {
  const { code, message } = error as { code?: string; message: string };
  if (code === "EMFILE" || message.includes("Too many open files")) {
    return new QueryError(
      "too-many-files",
      "the query needs more files than a process may open",
      "ask for a shorter range, or raise the limit of open files of the lake (ulimit -n)",
      422,
    );
  }
  // Errors of the system name the file.
  const said = typeof code === "string" ? code : withoutPaths(parsed(message).exception_message);
  return new QueryError(
    "unreadable-file",
    `a file that the query needs cannot be read: ${said}`,
    "send it again; if that does not help, a file of the lake is damaged or missing",
    500,
  );
}

function parsed(message: string): DuckDbError {
  const begin = message.indexOf("{");
  try {
    const error = JSON.parse(message.slice(begin)) as DuckDbError;
    if (typeof error.exception_message === "string") return error;
  } catch {
    // No JSON: text, as errors of the binding itself are.
  }
  return { exception_type: "", exception_message: message };
}

/** Where it is in the caller's text, in UTF-16 units. */
function offsetOf(
  position: string | undefined,
  type: string,
  { sql, from, prefixLength }: ErrorPlace,
): number | undefined {
  if (position === undefined) return undefined;
  const select = sql.slice(from);
  const count = Number(position) - prefixLength;
  if (!(count >= 0)) return undefined;
  return from + (type === "Parser" ? offsetOfCharacters : offsetOfBytes)(select, count);
}

/** Files have other names in the process (answer.ts); those say nothing to anybody. */
function withoutPaths(text: string): string {
  return text.replace(/\/proc\/self\/fd\/\d+/g, "(a file of the lake)");
}
