// The process of one query: this program, started again by child.ts before there is a query, with DuckDB loaded and set
// up. It reads a query, checks it (gate.ts), asks for the files of the tables that it names, shuts itself off from
// everything else, answers and ends. What the query does to it, it does to nobody else (docs/decisions/0046).

import { Database, type Libraries, useLibraries } from "../../duckdb/index.ts";
import { limitGrowth } from "../../ffi/index.ts";
import { answer } from "./answer.ts";
import { sqlError } from "./errors.ts";
import { say, sayJson } from "./frame-output.ts";
import { FRAME, type Given, type Question, type Setup } from "./frames.ts";
import { pass } from "./gate.ts";
import { QueryError } from "./query-error.ts";

/** What is not DuckDB's: rows on their way out. DuckDB's own limit does not hold for functions that make long texts. */
const OVERHEAD_BYTES = 192 * 1024 * 1024;

/**
 * Answers one query, read from standard input, and ends the process.
 * @param libraries DuckDB's, where they were handed over
 */
export async function serveOneQuery(libraries: Libraries | undefined): Promise<never> {
  if (libraries !== undefined) useLibraries(libraries);
  const lines = linesOf(Bun.stdin.stream());
  const next = async <T>(): Promise<T> => {
    const { value, done } = await lines.next();
    // The parent has gone, or needs it no more.
    if (done) return process.exit(0);
    return JSON.parse(value) as T;
  };
  try {
    const setup = await next<Setup>();
    const database = await open(setup);
    limitGrowth(setup.memoryBytes + OVERHEAD_BYTES);
    say(FRAME.ready);
    const question = await next<Question>();
    const passed = await pass(question.sql, setup.tables, serializer(database));
    sayJson(FRAME.tables, passed.tables);
    const given = await next<Given>();
    void lines.next().then(() => process.kill(process.pid, "SIGKILL"));
    sayJson(FRAME.end, await answer(database, question, passed, given));
  } catch (error) {
    say(FRAME.error, Buffer.from(told(error).written));
  }
  return process.exit(0);
}

function told(error: unknown): QueryError {
  return error instanceof QueryError
    ? error
    : new QueryError("query-failed", String(error), "this is a fault of microview", 500);
}

/** DuckDB, warm: what the first query would wait for has been done once. */
async function open({ threads, memoryBytes }: Setup): Promise<Database> {
  const database = await Database.open({ threads, memoryBytes });
  for (const statement of [
    "SET errors_as_json = true",
    "SET TimeZone = 'UTC'",
    "SET enable_progress_bar = true",
    "SET enable_progress_bar_print = false",
    "SET allow_persistent_secrets = false",
  ]) {
    await database.connection.run(statement);
  }
  await serializer(database)("SELECT 1");
  return database;
}

function serializer({ connection }: Database): (sql: string) => Promise<string> {
  return async (sql) => {
    try {
      const reader = await connection.runAndReadAll("SELECT json_serialize_sql($1::VARCHAR)", [
        sql,
      ]);
      return String(reader.getRows()[0]![0]);
    } catch (error) {
      throw sqlError(error, { sql, from: 0, prefixLength: 0 });
    }
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}
