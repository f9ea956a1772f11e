// Runs SQL that has passed the gate, over the tables that it was given, and says its rows as they come. Used by the query
// process, once.

import { openSync } from "node:fs";
import type { DuckDBPreparedStatement } from "@duckdb/node-api";
import type { Database } from "../../duckdb/index.ts";
import { sqlText } from "../sql-text.ts";
import { CopyPipe } from "./copy-pipe.ts";
import { sqlError, unreadable } from "./errors.ts";
import { sayData, sayJson } from "./frame-output.ts";
import { FRAME, type Given, type Question } from "./frames.ts";
import type { Passed } from "./gate.ts";
import { QueryError } from "./query-error.ts";
import { type Column, rowWriter } from "./row-writer.ts";

/** How often it says how far it is. */
const PROGRESS_MS = 200;

/** @returns how many rows there were */
export async function answer(
  database: Database,
  { sql, format }: Question,
  passed: Passed,
  given: Given,
): Promise<number> {
  const { connection } = database;
  const pipe = new CopyPipe();
  await makeTables(database, given, pipe.path);
  const progress = setInterval(() => {
    const { percentage } = connection.progress;
    if (percentage > 0) sayJson(FRAME.progress, Math.round(percentage * 10) / 1_000);
  }, PROGRESS_MS);
  try {
    const prepared = await prepare(database, passed);
    const columns = columnsOf(prepared);
    sayJson(
      FRAME.columns,
      columns.map(({ name, type }) => ({ name, type: type.toString() })),
    );
    if (format !== "parquet")
      return await stream(database, prepared, passed, pipe, columns, format);
    if (passed.isExplain) {
      throw new QueryError("bad-request", "an EXPLAIN is no Parquet", "ask for ndjson or csv");
    }
    return await pipe.copy(connection, passed.sql, "FORMAT parquet, COMPRESSION zstd", sayData);
  } catch (error) {
    const { from, prefixLength, tables } = passed;
    // A name that is not there is found before anything runs: only then is the database sure to answer again.
    const isBinding = String(error).includes('"Binder"');
    const columns = isBinding ? await columnNames(database, tables) : [];
    throw sqlError(error, { sql, from, prefixLength, tables, columns });
  } finally {
    clearInterval(progress);
  }
}

/** Of the tables that a query names: one of them may be what a wrong name was meant to be. */
async function columnNames(
  { connection }: Database,
  tables: readonly string[],
): Promise<readonly string[]> {
  try {
    await connection.run("ROLLBACK").catch(() => {});
    const names = tables.map(sqlText).join(", ") || "''";
    const reader = await connection.runAndReadAll(
      `SELECT DISTINCT column_name FROM duckdb_columns() WHERE table_name IN (${names}) ORDER BY column_name`,
    );
    return reader.getRows().map(([name]) => String(name));
  } catch {
    // The error goes without a proposal.
    return [];
  }
}

/** What is executed must be what the gate took it for. */
async function prepare(
  { connection, api }: Database,
  passed: Passed,
): Promise<DuckDBPreparedStatement> {
  await connection.run("BEGIN TRANSACTION READ ONLY");
  const prepared = await connection.prepare(passed.sql);
  const { EXPLAIN, SELECT } = api.StatementType;
  if (prepared.statementType !== (passed.isExplain ? EXPLAIN : SELECT)) {
    throw new QueryError("not-a-select", "the SQL is no SELECT", "send one SELECT");
  }
  return prepared;
}

function columnsOf(prepared: DuckDBPreparedStatement): Column[] {
  return Array.from({ length: prepared.columnCount }, (_, i) => ({
    name: prepared.columnName(i),
    type: prepared.columnType(i),
  }));
}

async function stream(
  { connection }: Database,
  prepared: DuckDBPreparedStatement,
  passed: Passed,
  pipe: CopyPipe,
  columns: readonly Column[],
  format: Exclude<Question["format"], "parquet">,
): Promise<number> {
  const result = await prepared.stream();
  const writer = rowWriter(format, columns, sayData);
  let rows = 0;
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) break;
    rows += chunk.rowCount;
    writer.add(chunk.getColumns(), chunk.rowCount);
  }
  // DuckDB's client takes an error amid the rows for their end. The transaction knows: it runs nothing more.
  const isWhole = await connection.run("SELECT 1").then(
    () => true,
    () => false,
  );
  if (!isWhole) throw await errorOf(connection, passed, pipe, rows);
  writer.end();
  return rows;
}

/** What went wrong amid the rows: run again, in a way that tells. */
async function errorOf(
  connection: Database["connection"],
  { sql, isExplain }: Passed,
  pipe: CopyPipe,
  rows: number,
): Promise<unknown> {
  try {
    await connection.run("ROLLBACK");
    if (!isExplain) await pipe.copy(connection, sql, "FORMAT csv", () => {});
  } catch (error) {
    return error;
  }
  return new QueryError(
    "query-failed",
    `the query failed after ${rows} rows`,
    "send it again",
    500,
  );
}

/** Makes the tables, and shuts the database off: from here on nothing is read but their files. */
export async function makeTables(
  database: Database,
  { files, rows, statements }: Given,
  pipe: string,
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
  const names = new Map(files.map((file) => [sqlText(file), sqlText(openedPath(file))]));
  await database.shutOff([...names.values()].map((name) => name.slice(1, -1)).concat(pipe));
  for (const statement of statements) {
    try {
      await connection.run(withNames(statement, names));
    } catch (error) {
      throw unreadable(error);
    }
  }
  await connection.run("SET lock_configuration = true");
}

/** By another name than its own, which plans and errors may show. */
function openedPath(file: string): string {
  try {
    return `/proc/self/fd/${openSync(file, "r")}`;
  } catch (error) {
    throw unreadable(error);
  }
}

function withNames(statement: string, names: ReadonlyMap<string, string>): string {
  return statement.replace(/'(?:[^']|'')*'/g, (text) => names.get(text) ?? text);
}
