// Queries from end to end: in a process of their own, over files, until the last byte of their answer.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { tableFromIPC } from "@uwdata/flechette";
import { parquetReadObjects } from "hyparquet";
import { type QueryAudit, QueryError, type QueryRunner } from "../../../src/lake/index.ts";
import { until } from "../../support/wait.ts";
import { type Answer, BEGIN_NS, LOG_ROWS, readAnswer, SmallLake } from "./fixtures/small-lake.ts";

let lake: SmallLake;
let runner: QueryRunner;

beforeAll(async () => {
  lake = await SmallLake.make();
  runner = lake.runner();
});
afterAll(() => lake.remove());

const STAYS = new AbortController().signal;

async function ask(sql: string, range: { from?: string; to?: string } = {}): Promise<Answer> {
  return readAnswer(await runner.run({ sql, ...range }, STAYS));
}

async function errorOf(answer: Promise<unknown>): Promise<QueryError> {
  const error = await answer.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof QueryError) return error;
  throw new Error(`no error of a query: ${error}`);
}

/** A query that would run until it is killed. */
const ENDLESS =
  "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range, b.range) = 1";
/** Rows without end. */
const FLOOD = "SELECT repeat('x', 1000) AS text, range FROM range(1000000000)";

describe("an answer", () => {
  test("is lines of JSON: columns, rows, and an end", async () => {
    const sql =
      "SELECT time, time_ns, level, span_id, properties FROM log_entries ORDER BY time LIMIT 2";
    const response = await runner.run({ sql }, STAYS);
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const { columns, rows, end } = await readAnswer(response);
    expect(columns).toEqual([
      { name: "time", type: "TIMESTAMP WITH TIME ZONE" },
      { name: "time_ns", type: "BIGINT" },
      { name: "level", type: "VARCHAR" },
      { name: "span_id", type: "VARCHAR" },
      { name: "properties", type: "MAP(VARCHAR, VARCHAR)" },
    ]);
    expect(rows).toEqual([
      [
        "2026-12-01T10:00:00.000000Z",
        String(BEGIN_NS),
        "error",
        "0000000000000000",
        { path: "/items/0", status: "500" },
      ],
      [
        "2026-12-01T10:00:00.001000Z",
        String(BEGIN_NS + 1_000_000n),
        "warn",
        null,
        { path: "/items/1", status: "200" },
      ],
    ]);
    expect(end).toMatchObject({ rows: 2, files: 2 });
  });

  test("without rows has its columns too", async () => {
    const { columns, rows, end } = await ask("SELECT level FROM log_entries WHERE false");
    expect(columns).toEqual([{ name: "level", type: "VARCHAR" }]);
    expect([rows, end?.rows]).toEqual([[], 0]);
  });

  test("has what the range holds alone", async () => {
    const sql = "SELECT count(*) FROM log_entries";
    const counted = async (range: { from?: string; to?: string }) =>
      (await ask(sql, range)).rows[0]![0];
    expect(await counted({})).toBe(LOG_ROWS);
    expect(await counted({ from: "2026-12-01T10:00:01Z" })).toBe(LOG_ROWS - 1_000);
    const nanosecond = { from: "2026-12-01T11:00:00+01:00", to: "2026-12-01T10:00:00.000000001Z" };
    expect(await counted(nanosecond)).toBe(1);
    expect(await counted({ to: String(BEGIN_NS) })).toBe(0);
  });

  test("as CSV has a header, and quotes what it must", async () => {
    const sql = `SELECT 'a,b' AS "x ""y""", 'it''s "so"' AS q, '' AS empty, NULL AS nothing, MAP {'k': 1} AS m, 9007199254740993 AS big`;
    const response = await runner.run({ sql, format: "csv" }, STAYS);
    expect(response.headers.get("content-type")).toContain("text/csv");
    expect(await response.text()).toBe(
      '"x ""y""",q,empty,nothing,m,big\n"a,b","it\'s ""so""","",,"{""k"":1}",9007199254740993\n',
    );
  });

  test("as Arrow is a stream of batches", async () => {
    const sql = "SELECT time_ns, level, properties, time FROM log_entries ORDER BY time";
    const response = await runner.run({ sql, format: "arrow" }, STAYS);
    expect(response.headers.get("content-type")).toBe("application/vnd.apache.arrow.stream");
    const table = tableFromIPC(await response.bytes(), { useBigInt: true, useMap: true });
    expect(table.numRows).toBe(LOG_ROWS);
    const { time_ns, level, properties } = table.at(49) as Record<string, unknown>;
    expect([time_ns, level]).toEqual([BEGIN_NS + 49_000_000n, "warn"]);
    expect(properties).toEqual(
      new Map([
        ["path", "/items/9"],
        ["status", "200"],
      ]),
    );
  });

  test("as Arrow without rows has its schema", async () => {
    const response = await runner.run(
      { sql: "SELECT 1 AS one WHERE false", format: "arrow" },
      STAYS,
    );
    const { schema, numRows } = tableFromIPC(await response.bytes());
    expect([schema.fields.map(({ name }) => name), numRows]).toEqual([["one"], 0]);
  });

  test("as Parquet is a file", async () => {
    const sql = "SELECT time_ns, level FROM log_entries ORDER BY time; -- all";
    const failed = await errorOf(runner.run({ sql, format: "parquet" }, STAYS));
    expect(failed.code).toBe("sql-syntax");
    const response = await runner.run(
      { sql: sql.replace("; -- all", ";"), format: "parquet" },
      STAYS,
    );
    expect(response.headers.get("content-type")).toBe("application/vnd.apache.parquet");
    const rows = await parquetReadObjects({
      compressors: { ZSTD: (input) => Bun.zstdDecompressSync(Buffer.from(input)) },
      file: await response.arrayBuffer(),
      rowStart: 0,
      rowEnd: 2,
    });
    expect(rows).toEqual([
      { time_ns: BEGIN_NS, level: "error" },
      { time_ns: BEGIN_NS + 1_000_000n, level: "warn" },
    ]);
  });

  test("comes while it is made, and is made no faster than it is read", async () => {
    const response = await runner.run({ sql: FLOOD }, STAYS);
    const reader = response.body!.getReader();
    let bytes = 0;
    while (bytes < 20e6) bytes += (await reader.read()).value!.length;
    await reader.cancel();
  });
});

describe("an error", () => {
  test.each([
    ["SELECT nope FROM log_entries", "sql-error", 7],
    ["SELECT 'ä🦆', nope FROM log_entries", "sql-error", 13],
    ["EXPLAIN SELECT nope FROM log_entries", "sql-error", 15],
    ["EXPLAIN ANALYZE\n/* ö */ SELECT lower(1, 2) FROM log_entries", "sql-error", 31],
    ["SELECT 1 +", "sql-syntax", 10],
    ["SELECT * FROM nothing", "no-such-table", 14],
  ])("before there is an answer says where: %j", async (sql, code, position) => {
    const { body, status } = await errorOf(runner.run({ sql }, STAYS));
    expect(body).toMatchObject({ code, position });
    expect(status).toBe(400);
  });

  test.each([
    ["SELECT nmae FROM spans", "there is no column nmae", "did you mean name?"],
    ["SELECT s.nmae FROM spans s", "there is no column nmae in s", "did you mean name?"],
    ["SELECT qqqq FROM spans", "there is no column qqqq", "DESCRIBE spans tells its columns"],
    ["SELECT * EXCLUDE (nmae) FROM spans", "there is no column nmae", "did you mean name?"],
    [
      "SELECT qqqq FROM spans, log_entries",
      "there is no column qqqq",
      "DESCRIBE tells the columns of one table: spans, log_entries",
    ],
    [
      `SELECT * FROM log_entries WHERE level = "error"`,
      "there is no column error",
      "text is written in single quotes: 'error'; DESCRIBE log_entries tells its columns",
    ],
    [
      "WITH t AS (SELECT 1 AS amount) SELECT amuont FROM t",
      "there is no column amuont",
      "did you mean amount?",
    ],
    ["SELECT x.name FROM spans s", "there is no table x in FROM", "did you mean s?"],
    ["SELECT spasn.name FROM spans", "there is no table spasn in FROM", "did you mean spans?"],
    ["SELECT logs.name FROM spans", "there is no table logs in FROM", "FROM has spans"],
  ])("about a name that is not there says so plainly: %j", async (sql, message, hint) => {
    const { body } = await errorOf(runner.run({ sql }, STAYS));
    expect([body.message, body.hint]).toEqual([message, hint]);
  });

  test("after the columns is the last line", async () => {
    const { columns, error, end } = await ask("SELECT message::INTEGER AS n FROM log_entries");
    expect(columns).toEqual([{ name: "n", type: "INTEGER" }]);
    expect(error).toMatchObject({ code: "sql-error" });
    expect(end).toBeUndefined();
  });

  test("of another format is one of HTTP as long as there are no rows", async () => {
    const sql = "SELECT message::INTEGER AS n FROM log_entries";
    for (const format of ["csv", "arrow", "parquet"] as const) {
      const { code, status } = await errorOf(runner.run({ sql, format }, STAYS));
      expect([code, status]).toEqual(["sql-error", 400]);
    }
  });

  test("amid rows of another format cuts the answer, which would look whole otherwise", async () => {
    const sql =
      "SELECT CASE WHEN i = 900000 THEN error('late') ELSE 'x' END FROM range(1000000) r(i)";
    for (const format of ["csv", "arrow"] as const) {
      const response = await runner.run({ sql, format }, STAYS);
      expect(await response.text().then(() => "whole", String)).toContain("late");
    }
  });

  test.each([
    [{ sql: 1 }, "`sql` is missing"],
    [{}, "`sql` is missing"],
    [{ sql: "SELECT 1", format: "xml" }, 'no format "xml"'],
    [{ sql: "SELECT 1", from: "yesterday" }, '`from` is no time: "yesterday"'],
    [{ sql: "SELECT 1", to: "2026-12-01" }, "`to` is no time"],
    [{ sql: "SELECT 1", from: 5 }, "`from` is no time"],
    [{ sql: "SELECT 1", from: "-9999999999999999999" }, "`from` is before 1677 or beyond 2262"],
    [{ sql: "SELECT 1", from: "9223372036854775808" }, "`from` is before 1677 or beyond 2262"],
    [{ sql: "SELECT 1", from: "0000-00-00T00:00:00Z" }, "`from` is no time"],
    [{ sql: "SELECT 1", from: "0001-01-01T00:00:00Z" }, "`from` is before 1677 or beyond 2262"],
    [
      { sql: "SELECT 1", to: "9999-12-31T23:59:59.999999999Z" },
      "`to` is before 1677 or beyond 2262",
    ],
    [{ sql: "SELECT 1", from: "20", to: "10" }, "`from` is not before `to`"],
  ])("of the request is told: %j", async (query, message) => {
    const error = await errorOf(runner.run(query as never, STAYS));
    expect([error.code, error.status]).toEqual(["bad-request", 400]);
    expect(error.message).toContain(message);
  });
});

describe("paths of files are shown nowhere", () => {
  test("in plans, whatever their format", async () => {
    for (const explain of [
      "EXPLAIN",
      "EXPLAIN ANALYZE",
      ...["json", "text", "yaml", "html", "graphviz", "mermaid"].flatMap((format) => [
        `EXPLAIN (FORMAT ${format})`,
        `EXPLAIN (ANALYZE, FORMAT ${format})`,
      ]),
    ]) {
      const sql = `${explain} SELECT * FROM log_entries JOIN spans USING (span_id) WHERE message LIKE '%7%'`;
      const text = JSON.stringify(await ask(sql));
      expect([explain, text.includes("microview-query"), text.includes(".parquet")]).toEqual([
        ...[explain, false, false],
      ] as [string, boolean, boolean]);
      expect(text.length).toBeGreaterThan(200);
    }
  });

  test("in errors about a file", async () => {
    const path = `${lake.folder}/views/log_entries/data/day=2026-12-01/broken.parquet`;
    await Bun.write(path, "no Parquet at all, but long enough to have a footer: it is none");
    const broken = lake.runner({
      tables: {
        names: ["log_entries"],
        open: async () => ({
          files: [path],
          rows: [],
          statements: [`CREATE VIEW log_entries AS FROM read_parquet(['${path}'])`],
          close: () => {},
        }),
      },
    });
    const { body } = await errorOf(broken.run({ sql: "FROM log_entries" }, STAYS));
    expect(JSON.stringify(body)).not.toContain("microview-query");
    expect(body.message).toContain("(a file of the lake)");
  });
});

describe("a bomb ends in an error, and the next query is answered", () => {
  // Only where time may run out is it short: a machine may be slow.
  const small = (codes: string) =>
    lake.runner({
      limits: {
        memoryBytes: 256e6,
        timeMs: codes.includes("time") ? 2_000 : 60_000,
        concurrent: 2,
      },
    });

  test.each([
    ["SELECT length(repeat('x', 2000000000))", "out-of-memory"],
    ["SELECT length(lpad('x', 2000000000, 'y'))", "out-of-memory|time-limit"],
    ["SELECT length(printf('%2000000000d', 1))", "out-of-memory"],
    ["SELECT length(format('{:2000000000d}', 1))", "out-of-memory"],
    ["SELECT length(bitstring('1', 2000000000)::VARCHAR)", "out-of-memory|time-limit"],
    ["SELECT len(string_split(repeat('x,', 300000000), ','))", "out-of-memory"],
    ["SELECT length(list_transform(range(100000000), x -> x::VARCHAR)::VARCHAR)", "out-of-memory"],
    ["SELECT list(range) FROM range(1000000000)", "out-of-memory"],
    ["SELECT string_agg(repeat('x', 1000), '') FROM range(10000000)", "out-of-memory"],
    ["SELECT repeat('x', 150000000) FROM range(100)", "out-of-memory|time-limit"],
    ["SELECT hex(repeat(message, 10000)::BLOB) FROM log_entries", "out-of-memory|time-limit"],
    [
      "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
      "time-limit|out-of-memory",
    ],
    [ENDLESS, "time-limit"],
    [
      `SELECT ${"regexp_replace(".repeat(30)}'x'${", '.', 'xxxxxxxxxx', 'g')".repeat(30)}`,
      "out-of-memory|time-limit",
    ],
    [
      "SELECT * FROM log_entries a, log_entries b, log_entries c ORDER BY hash(a.message, b.message, c.message)",
      "out-of-memory|time-limit",
    ],
  ])("%s", async (sql, codes) => {
    const bombed = small(codes);
    const told = async () => {
      const { error } = await readAnswer(await bombed.run({ sql }, STAYS));
      return error?.code;
    };
    const code = await told().catch(({ code }: QueryError) => code);
    expect(codes.split("|")).toContain(code!);
    const next = await runner.run({ sql: "SELECT 42" }, STAYS);
    expect((await readAnswer(next)).rows).toEqual([[42]]);
    await bombed.close();
  });
});

describe("a process", () => {
  test("answers one query", async () => {
    const one = lake.runner();
    const [first] = one.processes;
    await readAnswer(await one.run({ sql: "SELECT 1" }, STAYS));
    await until("the process has ended", () => !existsSync(`/proc/${first}`));
    expect(one.processes).not.toContain(first);
  });

  test("has no environment, and runs nowhere", async () => {
    const one = lake.runner();
    await readAnswer(await one.run({ sql: "SELECT 1" }, STAYS));
    const [pid] = one.processes;
    await until("the program has confined itself", () =>
      readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("--confined"),
    );
    expect(readFileSync(`/proc/${pid}/environ`, "latin1")).toBe("");
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    expect(status).toContain("NoNewPrivs:\t1");
  });

  test("is killed when the caller leaves while it works", async () => {
    const audits: QueryAudit[] = [];
    const one = lake.runner({ audit: (audit) => audits.push(audit) });
    const [pid] = one.processes;
    const caller = new AbortController();
    const response = await one.run({ sql: ENDLESS }, caller.signal);
    caller.abort();
    await until("the process has ended", () => !existsSync(`/proc/${pid}`));
    expect(audits).toMatchObject([{ outcome: "gone" }]);
    await response.body!.cancel().catch(() => {});
  });

  test("is killed when the caller leaves the body unread, and its files are let go", async () => {
    const one = lake.runner();
    const [pid] = one.processes;
    const before = lake.closed;
    const response = await one.run({ sql: `${FLOOD}, log_entries` }, STAYS);
    await response.body!.cancel();
    await until("the process has ended", () => !existsSync(`/proc/${pid}`));
    expect(lake.closed).toBe(before + 1);
  });

  test("ends when the lake is stopped, and when it was only waiting", async () => {
    const one = lake.runner({ warm: 2 });
    const response = await one.run({ sql: ENDLESS }, STAYS);
    const pids = one.processes;
    expect(pids.length).toBeGreaterThan(1);
    await one.close();
    for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect((await readAnswer(response)).error?.code).toBe("lake-stopped");
    expect((await errorOf(one.run({ sql: "SELECT 1" }, STAYS))).status).toBe(503);
  });

  test("ends with the program that has started it, even if that is killed", async () => {
    const script = `
      import { SmallLake } from "${import.meta.dir}/fixtures/small-lake.ts";
      const lake = await SmallLake.make();
      const runner = lake.runner();
      const response = await runner.run({ sql: ${JSON.stringify(ENDLESS)} }, new AbortController().signal);
      console.log(JSON.stringify({ pids: runner.processes, root: lake.root }));
      await response.text();`;
    const program = Bun.spawn([process.execPath, "-e", script], {
      stdout: "pipe",
      cwd: process.cwd(),
    });
    const { value } = await program.stdout.getReader().read();
    const { pids, root } = JSON.parse(new TextDecoder().decode(value)) as {
      pids: number[];
      root: string;
    };
    expect(pids.length).toBeGreaterThan(0);
    program.kill("SIGKILL");
    await until("the processes have ended", () => pids.every((pid) => !existsSync(`/proc/${pid}`)));
    await Bun.$`rm -rf ${root}`.quiet();
  });
});

describe("queries that come together", () => {
  test("take turns, and too many are refused", async () => {
    const narrow = lake.runner({ limits: { concurrent: 1, waiting: 1 } });
    const first = await narrow.run({ sql: ENDLESS }, STAYS);
    const second = narrow.run({ sql: "SELECT 2" }, STAYS);
    const { code, status } = await errorOf(narrow.run({ sql: "SELECT 3" }, STAYS));
    expect([code, status]).toEqual(["too-many-queries", 429]);
    await first.body!.cancel();
    expect((await readAnswer(await second)).rows).toEqual([[2]]);
  });

  test("leave one turn to others, whoever asks a lot, and take turns by caller", async () => {
    const shared = lake.runner({ limits: { concurrent: 2, waiting: 4 }, isShared: true });
    const as = (who: string, sql: string) => shared.run({ sql }, STAYS, who);
    const first = await as("evil", ENDLESS);
    const second = as("evil", "SELECT 2");
    const { code } = await errorOf(as("evil", "SELECT 3"));
    expect(code).toBe("too-many-queries");
    expect((await readAnswer(await as("ada", "SELECT 4"))).rows).toEqual([[4]]);
    await first.body!.cancel();
    expect((await readAnswer(await second)).rows).toEqual([[2]]);
  });

  test("end an answer that nobody reads, once others wait", async () => {
    const audits: QueryAudit[] = [];
    const narrow = lake.runner({
      limits: { concurrent: 1, waiting: 1, unreadMs: 20 },
      audit: (audit) => audits.push(audit),
    });
    const unread = await narrow.run({ sql: ENDLESS }, STAYS);
    expect((await readAnswer(await narrow.run({ sql: "SELECT 2" }, STAYS))).rows).toEqual([[2]]);
    expect(audits.map(({ outcome }) => outcome)).toEqual(["unread", "ok"]);
    await expect(unread.text()).rejects.toThrow("nobody has read on");
  });

  test("give up their turn when their callers leave", async () => {
    const narrow = lake.runner({ limits: { concurrent: 1, waiting: 1 } });
    const first = await narrow.run({ sql: ENDLESS }, STAYS);
    const caller = new AbortController();
    const second = narrow.run({ sql: "SELECT 2" }, caller.signal);
    caller.abort();
    await second.then(
      () => expect.unreachable(),
      () => {},
    );
    const third = narrow.run({ sql: "SELECT 3" }, STAYS);
    await first.body!.cancel();
    expect((await readAnswer(await third)).rows).toEqual([[3]]);
  });
});

test("each query has a line for the audit", async () => {
  const audits: QueryAudit[] = [];
  const one = lake.runner({ audit: (audit) => audits.push(audit) });
  await readAnswer(await one.run({ sql: "SELECT level FROM log_entries LIMIT 5" }, STAYS, "ann"));
  await errorOf(one.run({ sql: "DROP VIEW log_entries" }, STAYS, "bob"));
  await errorOf(one.run({ sql: "SELECT 1", format: "xml" as never }, STAYS, "eve"));
  expect(audits).toEqual([
    {
      ...{
        who: "ann",
        outcome: "ok",
        format: "ndjson",
        tables: ["log_entries"],
        files: 2,
        rows: 5,
      },
      ms: expect.any(Number),
    },
    {
      ...{ who: "bob", outcome: "not-a-select", format: "ndjson", tables: [], files: 0, rows: 0 },
      ms: expect.any(Number),
    },
  ]);
});
