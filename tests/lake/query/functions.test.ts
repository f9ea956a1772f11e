// The lists of functions that a query may call, against DuckDB's own catalogue.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { Database } from "../../../src/duckdb/index.ts";
import {
  AGGREGATES,
  FUNCTIONS,
  MACROS,
  mayCall,
  OPERATORS,
  REFUSED_FUNCTIONS,
  REFUSED_PREFIXES,
  TABLE_FUNCTIONS,
} from "../../../src/lake/query/functions.ts";

let database: Database;

beforeAll(async () => {
  database = await Database.open({ threads: 1, memoryBytes: 256e6, paths: [] });
});
afterAll(() => database.close());

async function catalogue(types: string): Promise<string[]> {
  const reader = await database.connection.runAndReadAll(
    `SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE function_type IN (${types}) AND schema_name = 'main'`,
  );
  return reader.getRows().map(([name]) => String(name));
}

test("somebody has decided about every function that DuckDB has", async () => {
  const known = await catalogue("'scalar', 'aggregate', 'macro'");
  expect(known.length).toBeGreaterThan(700);
  const undecided = known.filter(
    (name) =>
      !mayCall(name) &&
      !REFUSED_FUNCTIONS.has(name) &&
      !REFUSED_PREFIXES.some((prefix) => name.startsWith(prefix)),
  );
  expect(undecided).toEqual([]);
});

test("the lists name no function that DuckDB does not have, and none twice", async () => {
  const known = new Set(await catalogue("'scalar', 'aggregate', 'macro'"));
  const listed = [FUNCTIONS, AGGREGATES, MACROS, OPERATORS, REFUSED_FUNCTIONS].flatMap((names) => [
    ...names,
  ]);
  // Syntax that DuckDB's parser makes of an arrow, and what the client's text functions are called by.
  expect(listed.filter((name) => !known.has(name) && name !== "->")).toEqual([]);
  expect(listed.length).toBe(new Set(listed).size);
});

test("table functions that may be called are in the catalogue, or made by its parser", async () => {
  const known = new Set([...(await catalogue("'table'")), "unnest"]);
  expect([...TABLE_FUNCTIONS].filter((name) => !known.has(name))).toEqual([]);
});

test("macros that may be called are made of functions that may be called, and of no table", async () => {
  const reader = await database.connection.runAndReadAll(
    "SELECT lower(function_name), json_serialize_sql('SELECT ' || macro_definition) FROM duckdb_functions() WHERE function_type = 'macro' AND schema_name = 'main'",
  );
  for (const [name, text] of reader.getRows() as [string, string][]) {
    if (!MACROS.has(name)) continue;
    const called = [...text.matchAll(/"function_name":"((?:[^"\\]|\\.)*)"/g)].map(([, word]) =>
      word!.toLowerCase(),
    );
    expect([name, called.filter((each) => !mayCall(each))]).toEqual([name, []]);
    expect([name, text.includes("BASE_TABLE"), text.includes('"TABLE_FUNCTION"')]).toEqual([
      ...[name, false, false],
    ] as [string, boolean, boolean]);
  }
});
