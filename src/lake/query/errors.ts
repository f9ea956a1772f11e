// What DuckDB says went wrong, in our words: which code it has, where in the caller's text, and no paths of files. Used
// by the query process, whose DuckDB writes errors as JSON.

import { offsetOfBytes, offsetOfCharacters, placeOf, QueryError } from "./query-error.ts";

/** What places in errors are counted in. */
export interface ErrorPlace {
  /** The caller's text. */
  sql: string;
  /** Where in it the SELECT begins. */
  from: number;
  /** Length of what stands before the SELECT where it is run. */
  prefixLength: number;
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
  Binder: "DESCRIBE log_entries, or another table, tells its columns",
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
  const said = withoutPaths(text.split("\n\nLINE ")[0]!.trim());
  const code = type === "Parser" ? "sql-syntax" : "sql-error";
  return new QueryError(
    code,
    said,
    HINTS[type] ?? "correct the SQL",
    400,
    at(position, type, place),
  );
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

function at(position: string | undefined, type: string, { sql, from, prefixLength }: ErrorPlace) {
  if (position === undefined) return undefined;
  const select = sql.slice(from);
  const count = Number(position) - prefixLength;
  if (!(count >= 0)) return undefined;
  const offset =
    type === "Parser" ? offsetOfCharacters(select, count) : offsetOfBytes(select, count);
  return placeOf(sql, from + offset);
}

/** Files have other names in the process (answer.ts); those say nothing to anybody. */
function withoutPaths(text: string): string {
  return text.replace(/\/proc\/self\/fd\/\d+/g, "(a file of the lake)");
}
