// A part that is refused is refused wherever it stands: queries are put together at random, from parts that may stand in
// one and exactly one that may not.

import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { Database } from "../../../src/duckdb/index.ts";
import { type Passed, pass } from "../../../src/lake/query/gate.ts";
import { QueryError } from "../../../src/lake/query/query-error.ts";

/** E stands for an expression, T for a table, Q for a query. */
const QUERIES = [
  "SELECT E FROM T",
  "SELECT E AS a, E AS b FROM T WHERE E",
  "SELECT * FROM T JOIN T AS j ON E",
  "SELECT E FROM T GROUP BY E HAVING E",
  "SELECT E FROM T ORDER BY E LIMIT 3",
  "SELECT 1 LIMIT (SELECT E)",
  "SELECT DISTINCT ON (E) E FROM T",
  "WITH c AS (Q) SELECT E FROM c, T",
  "WITH c AS MATERIALIZED (Q), d AS (SELECT * FROM c) SELECT E FROM d",
  "WITH RECURSIVE r AS (SELECT E AS x UNION ALL SELECT x FROM r, T WHERE E) SELECT * FROM r",
  "(Q) UNION ALL (Q)",
  "(Q) EXCEPT (Q)",
  "SELECT sum(E) FILTER (WHERE E) OVER (PARTITION BY E ORDER BY E) FROM T QUALIFY E",
  "SELECT * REPLACE (E AS pid) FROM T",
  "SELECT COLUMNS(c -> E) FROM T",
  "VALUES (E), (E)",
  "FROM T SELECT E",
  "PIVOT T ON level IN ('a') USING sum(E)",
  "SELECT * FROM T TABLESAMPLE 10%, LATERAL (Q) AS l",
  "DESCRIBE SELECT E FROM T",
  "SUMMARIZE SELECT E FROM T",
] as const;
const EXPRESSIONS = [
  "(E + 1)",
  "(SELECT E FROM T)",
  "(E IN (Q))",
  "EXISTS (Q)",
  "ARRAY(Q)",
  "CASE WHEN E THEN E ELSE E END",
  "[E, E][1]",
  "{'a': E}.a",
  "MAP {'k': E}['k']",
  "list_transform([E], x -> E)",
  "[E FOR x IN [E] IF E]",
  "coalesce(E, E)",
  "CAST(E AS VARCHAR)",
  "TRY(E)",
  "(E BETWEEN E AND E)",
  "(E)::VARCHAR COLLATE NOCASE",
  "string_agg(E, ',' ORDER BY E)",
  "lower(E)",
  "unnest([E])",
  "count(DISTINCT E)",
  "row(E, E)",
] as const;
const TABLES = [
  "(Q) AS s",
  "(T) AS s",
  "range(E) AS s",
  "unnest([E]) AS s",
  "(T CROSS JOIN T)",
  "(VALUES (E)) AS v(x)",
] as const;
const LEAVES = {
  E: ["1", "'x'", "pid", "NULL", "now()", "x"],
  T: ["log_entries", "spans AS s2", "generate_series(1, 3) AS g"],
  Q: ["SELECT 1", "FROM log_entries"],
} as const;
/** Parts that may not stand anywhere. */
const REFUSED = {
  E: [
    ...[
      "current_setting('threads')",
      "getvariable('x')",
      "write_log('x')",
      "system.main.lower('x')",
    ],
    ...["json_serialize_plan('SELECT 1')", "(SELECT sql FROM duckdb_views)", "$1", "version()"],
    "(SELECT 1 FROM '/etc/passwd')",
  ],
  T: [
    ...["'/etc/passwd'", "read_text('/etc/passwd') AS t", "duckdb_settings()", "duckdb_views"],
    ...[
      "information_schema.tables",
      "main.log_entries",
      "query('SELECT 1')",
      "c2",
      "(SHOW TABLES)",
    ],
  ],
  Q: ["SELECT * FROM glob('*')", "SHOW TABLES", "FROM pg_class"],
} as const;

type Kind = "E" | "T" | "Q";
const GROWN = { E: EXPRESSIONS, T: TABLES, Q: QUERIES } as const;
const DEPTH = 3;

/** A query that still has places for parts, put together as a sequence of numbers says. */
function skeleton(choices: readonly number[]): string {
  let at = 0;
  const next = () => choices[at++ % choices.length]!;
  const grow = (kind: Kind, depth: number): string => {
    const isLeaf = depth === DEPTH || (depth > 0 && next() % 2 === 0);
    if (isLeaf) return `«${kind}»`;
    const forms = GROWN[kind];
    return forms[next() % forms.length]!.replace(/\b[ETQ]\b/g, (hole) =>
      grow(hole as Kind, depth + 1),
    );
  };
  return grow("Q", 0);
}

/** Fills the places: the one with number `refusedAt` by a part that is refused. */
function filled(text: string, choices: readonly number[], refusedAt: number): string {
  let place = 0;
  return text.replace(/«([ETQ])»/g, (_, kind: Kind) => {
    const parts = place === refusedAt ? REFUSED[kind] : LEAVES[kind];
    return parts[choices[place++ % choices.length]! % parts.length]!;
  });
}

let database: Database;

beforeAll(async () => {
  database = await Database.open({ threads: 1, memoryBytes: 256e6, paths: [] });
});
afterAll(() => database.close());

async function gate(sql: string): Promise<Passed | QueryError> {
  const { connection } = database;
  try {
    return await pass(sql, ["log_entries", "spans"], async (text) => {
      const reader = await connection.runAndReadAll("SELECT json_serialize_sql($1::VARCHAR)", [
        text,
      ]);
      return String(reader.getRows()[0]![0]);
    });
  } catch (error) {
    if (error instanceof QueryError) return error;
    throw error;
  }
}

test("a part that is refused is refused wherever it stands", async () => {
  let passed = 0;
  let tried = 0;
  const numbers = fc.array(fc.nat(10_000), { minLength: 5, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(numbers, numbers, async (shape, parts) => {
      const text = skeleton(shape);
      const places = text.match(/«[ETQ]»/g)!.length;
      const harmless = await gate(filled(text, parts, -1));
      tried++;
      // A few cannot be parsed, whatever the parts are.
      if (harmless instanceof QueryError) return harmless.code === "sql-syntax";
      passed++;
      const sql = filled(text, parts, parts[0]! % places);
      const refused = await gate(sql);
      if (!(refused instanceof QueryError)) throw new Error(`passed: ${sql}`);
      return true;
    }),
    { numRuns: 1_000 },
  );
  expect(passed / tried).toBeGreaterThan(0.5);
});
