// The process of one query: this program, started again by child.ts before there is a query, with DuckDB loaded and set
// up. It reads a query, checks it (gate.ts), asks for the files of the tables that it names, shuts itself off from
// everything else, answers and ends. What the query does to it, it does to nobody else (docs/decisions/0046).

import type { DuckDBPreparedStatement, DuckDBType, DuckDBValue } from "@duckdb/node-api";
import { Database } from "../../duckdb/index.ts";
import { limitGrowth } from "../../ffi/index.ts";
import { ArrowStream } from "./arrow.ts";
import { sqlError, withoutPaths } from "./errors.ts";
import { FRAME, type Given, type Question, type Setup } from "./frames.ts";
import { type Passed, pass } from "./gate.ts";
import { writeParquet } from "./parquet.ts";
import { QueryError } from "./query-error.ts";
import { say, sayData, sayJson } from "./say.ts";
import { type RowTable, sqlText } from "./tables.ts";
import { csvField, csvWriter, jsonWriter } from "./values.ts";

/** How often it says how far it is. */
const PROGRESS_MS = 200;
/** Rows of an answer are handed over when they have this many bytes. */
const FLUSH_BYTES = 128 * 1024;
/** Rows of a batch of Arrow. */
const BATCH_ROWS = 16 * 1024;
/** What is not DuckDB's: rows on their way out. DuckDB's own limit does not hold for functions that make long texts. */
const OVERHEAD_BYTES = 192 * 1024 * 1024;

/** Answers one query, read from standard input, and ends the process. */
export async function serveOneQuery(): Promise<never> {
  const lines = linesOf(Bun.stdin.stream());
  const next = async <T>(): Promise<T> => {
    const { value, done } = await lines.next();
    // Whoever started this has gone, or needs it no more.
    if (done) return process.exit(0);
    return JSON.parse(value) as T;
  };
  const setup = await next<Setup>();
  const database = await open(setup);
  limitGrowth(setup.memoryBytes + OVERHEAD_BYTES);
  say(FRAME.ready);
  const question = await next<Question>();
  try {
    const passed = await pass(question.sql, setup.tables, serializer(database));
    sayJson(FRAME.tables, passed.tables);
    const given = await next<Given>();
    void lines.next().then(() => process.kill(process.pid, "SIGKILL"));
    const rows = await answer(database, question, passed, given);
    sayJson(FRAME.end, rows);
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
  const { connection } = database;
  for (const statement of [
    "SET errors_as_json = true",
    "SET TimeZone = 'UTC'",
    "SET enable_progress_bar = true",
    "SET enable_progress_bar_print = false",
    "SET allow_persistent_secrets = false",
  ]) {
    await connection.run(statement);
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
      throw sqlError(error, { sql, from: 0, prefixLength: 0, paths: [] });
    }
  };
}

/** @returns how many rows there were */
async function answer(
  database: Database,
  { sql, format }: Question,
  passed: Passed,
  { files, rows, statements }: Given,
): Promise<number> {
  const { connection } = database;
  const { from, prefixLength } = passed;
  const place = { sql, from, prefixLength, paths: files };
  if (format === "parquet") {
    return await writeParquet(database, passed, place, {
      makeTables: (more) => makeTables(database, rows, statements, [...files, ...more]),
      columns: (columns) => sayJson(FRAME.columns, columns),
      data: sayData,
    });
  }
  await makeTables(database, rows, statements, files);
  const progress = setInterval(() => {
    const { percentage } = connection.progress;
    if (percentage > 0) sayJson(FRAME.progress, Math.min(percentage / 100, 1));
  }, PROGRESS_MS);
  try {
    const prepared = await connection.prepare(passed.sql);
    // What is executed must be what the gate took it for.
    const { StatementType } = database.api;
    const expected = passed.isExplain ? StatementType.EXPLAIN : StatementType.SELECT;
    if (prepared.statementType !== expected) {
      throw new QueryError("not-a-select", "the SQL is no SELECT", "send one SELECT");
    }
    const columns = columnsOf(prepared);
    sayJson(
      FRAME.columns,
      columns.map(({ name, type }) => ({ name, type: type.toString() })),
    );
    const result = await prepared.stream();
    const writer = writerFor(format, columns, passed.isExplain ? files : []);
    let count = 0;
    for (;;) {
      const chunk = await result.fetchChunk();
      if (chunk === null || chunk.rowCount === 0) break;
      count += chunk.rowCount;
      writer.add(chunk.getColumns(), chunk.rowCount);
    }
    writer.end();
    return count;
  } catch (error) {
    throw sqlError(error, place);
  } finally {
    clearInterval(progress);
  }
}

interface Column {
  name: string;
  type: DuckDBType;
}

function columnsOf(prepared: DuckDBPreparedStatement): Column[] {
  return Array.from({ length: prepared.columnCount }, (_, i) => ({
    name: prepared.columnName(i),
    type: prepared.columnType(i),
  }));
}

/** Makes the tables, and shuts the database off: from here on nothing is read but the files. */
async function makeTables(
  database: Database,
  rows: readonly RowTable[],
  statements: readonly string[],
  files: readonly string[],
): Promise<void> {
  const { connection } = database;
  for (const table of rows) {
    const fields = Object.entries(table.columns).map(
      ([name, type]) => `"${name}": ${JSON.stringify(type)}`,
    );
    const shape = sqlText(`[{${fields.join(", ")}}]`);
    await connection.run(
      `CREATE TABLE "${table.name}" AS SELECT unnest(from_json($1::JSON, ${shape}), max_depth := 2)`,
      [JSON.stringify(table.rows)],
    );
  }
  await database.shutOff(files);
  for (const statement of statements) await connection.run(statement);
  await connection.run("SET lock_configuration = true");
}

/** Makes bytes of rows. */
interface Writer {
  add(columns: readonly (readonly DuckDBValue[])[], rows: number): void;
  end(): void;
}

/** @param hidden paths that texts may not show */
function writerFor(
  format: Exclude<Question["format"], "parquet">,
  columns: readonly Column[],
  hidden: readonly string[],
): Writer {
  const types = columns.map(({ type }) => type);
  const names = columns.map(({ name }) => name);
  if (format === "arrow") return arrowRows(names, types, hidden);
  return format === "csv"
    ? textRows(types.map(csvWriter), "", "\n", hidden, `${names.map(csvField).join(",")}\n`)
    : textRows(types.map(jsonWriter), "[", "]\n", hidden, "");
}

function textRows(
  writers: readonly ((value: DuckDBValue) => string)[],
  before: string,
  after: string,
  hidden: readonly string[],
  header: string,
): Writer {
  let text = header;
  const flush = () => {
    if (text !== "") sayData(Buffer.from(hidden.length === 0 ? text : withoutPaths(text, hidden)));
    text = "";
  };
  return {
    add(columns, rows) {
      for (let row = 0; row < rows; row++) {
        text += before;
        for (let i = 0; i < writers.length; i++) {
          if (i > 0) text += ",";
          text += writers[i]!(columns[i]![row]!);
        }
        text += after;
        if (text.length >= FLUSH_BYTES) flush();
      }
    },
    end: flush,
  };
}

function arrowRows(
  names: readonly string[],
  types: readonly DuckDBType[],
  hidden: readonly string[],
): Writer {
  const stream = new ArrowStream(names, types);
  let waiting: DuckDBValue[][] = types.map(() => []);
  const flush = () => {
    if (waiting[0]!.length > 0) sayData(stream.batch(waiting));
    waiting = types.map(() => []);
  };
  const shown = (value: DuckDBValue) =>
    hidden.length > 0 && typeof value === "string" ? withoutPaths(value, hidden) : value;
  return {
    add(columns) {
      for (const [i, column] of columns.entries()) {
        for (const value of column) waiting[i]!.push(shown(value));
      }
      if (waiting[0]!.length >= BATCH_ROWS) flush();
    },
    end() {
      flush();
      sayData(stream.end());
    },
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
