// Asking a lake: the whole way from a segment to rows, and what a token for some applications can see.

import { expect, setDefaultTimeout, test } from "bun:test";
import { encodeSegment } from "../../src/layout/index.ts";
import { type LogLine, TestHost } from "../support/host.ts";
import { DAY_NS, type Lake, lakeOf, logBlock, newSegmentId, putSegment } from "../support/lakes.ts";
import { asNobody, nobodyUid } from "../support/permissions.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

// DuckDB is loaded first, in threads and in processes of their own.
setDefaultTimeout(patience(60_000));

interface Answer {
  status: number;
  columns: { name: string; type: string }[];
  rows: unknown[][];
  error?: { code: string; message: string; position?: number };
}

async function ask(lake: Lake, sql: string, more: object = {}, token?: string): Promise<Answer> {
  const response = await fetch(`${lake.url}/v1/query`, {
    method: "POST",
    body: JSON.stringify({ sql, ...more }),
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });
  const lines = (await response.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const { status } = response;
  if (status !== 200) return { status, columns: [], rows: [], error: lines[0] };
  return {
    ...{ status, columns: lines[0].columns, rows: lines.filter((line) => Array.isArray(line)) },
    ...(lines.at(-1).error === undefined ? {} : { error: lines.at(-1).error }),
  };
}

const shop = { process: { app: "shop", processId: "a".repeat(32) } };
const bank = {
  process: { app: "bank", processId: "b".repeat(32) },
  stream: { streamId: "b".repeat(16) },
};

test("what has just been stored is answered, in the range that was asked for", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  await putSegment(lake.url, newSegmentId(), [logBlock(1_000)]);
  const all = await ask(lake, "select count(*) as n, max(message::int) as last from log_entries");
  expect(all.columns.map(({ name }) => name)).toEqual(["n", "last"]);
  expect(all.rows).toEqual([[1_000, 999]]);
  const range = { from: String(DAY_NS), to: "2026-12-01T00:00:00.010Z" };
  const some = await ask(lake, "select message from log_entries order by time_ns", range);
  expect(some.rows.flat()).toEqual(Array.from({ length: 10 }, (_, i) => String(i)));
  const joined = await ask(
    lake,
    "select p.app, p.service, count(*) from log_entries join processes p using (process_id) group by all",
  );
  expect(joined.rows).toEqual([["shop", "auth", 1_000]]);
});

test("its tables are described as they are", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const { tables } = (await (await fetch(`${lake.url}/v1/tables`)).json()) as {
    tables: { name: string; columns: { name: string; type: string }[] }[];
  };
  expect(tables.map(({ name }) => name)).toContain("thread_spans");
  for (const { name, columns } of tables) {
    expect([name, (await ask(lake, `select * from ${name}`)).columns]).toEqual([name, columns]);
  }
});

test("an error of SQL has its place, and wrong bodies are refused", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const wrong = await ask(lake, "select nothing from log_entries");
  expect(wrong).toMatchObject({ status: 400, error: { position: 7 } });
  expect(JSON.stringify(wrong)).not.toContain(host.folder);
  expect(await ask(lake, "delete from log_entries")).toMatchObject({ status: 400 });
  for (const body of ["", "[", "null", '"select 1"']) {
    const answer = await fetch(`${lake.url}/v1/query`, { method: "POST", body });
    expect([body, answer.status]).toEqual([body, 400]);
  }
  const long = JSON.stringify({ sql: `select 1 -- ${" ".repeat(1 << 20)}` });
  const answer = await fetch(`${lake.url}/v1/query`, { method: "POST", body: long });
  expect(answer.status).toBe(413);
});

test("a token for some applications sees rows of these alone, whatever it asks", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host, {
    tokens: [
      { token: "token-of-everybody", name: "all", scopes: ["ingest", "events:read"] },
      { token: "token-of-the-shop", name: "shop", scopes: ["events:read"], apps: ["shop"] },
      { token: "token-of-nothing", name: "none", scopes: ["events:read"], apps: ["other"] },
      { token: "token-of-metrics", name: "metrics", scopes: ["read"] },
    ],
  });
  const body = encodeSegment([logBlock(5, shop), logBlock(7, bank)]);
  await fetch(`${lake.url}/v1/segments/${newSegmentId()}`, {
    ...{ method: "PUT", body, headers: { authorization: "Bearer token-of-everybody" } },
  });
  const count = async (table: string, token: string) =>
    (await ask(lake, `select count(*) from ${table}`, {}, token)).rows[0]?.[0];
  for (const [table, all, own] of [
    ["log_entries", 12, 5],
    ["processes", 2, 1],
    ["streams", 2, 1],
    ["blocks", 2, 1],
  ] as const) {
    expect([table, await count(table, "token-of-everybody")]).toEqual([table, all]);
    expect([table, await count(table, "token-of-the-shop")]).toEqual([table, own]);
    expect([table, await count(table, "token-of-nothing")]).toEqual([table, 0]);
  }
  // An error must not tell of a row that is not theirs.
  const probe = "select count(*) from log_entries where if(app = 'bank', error(message), true)";
  const told = await ask(lake, probe, {}, "token-of-the-shop");
  expect([told.error, told.rows]).toEqual([undefined, [[5]]]);
  expect((await ask(lake, probe, {}, "token-of-everybody")).error).toMatchObject({
    code: "sql-error",
    // The message of one of bank's rows.
    message: expect.stringMatching(/^\d+$/),
  });
  expect((await ask(lake, "select 1", {}, "token-of-metrics")).status).toBe(403);
});

test.skipIf(asNobody === undefined || nobodyUid === process.getuid?.())(
  "another user of the host may bring events to a lake without tokens, and not read them",
  async () => {
    await using host = new TestHost();
    const { lake } = await lakeOf(host);
    const status = async (url: string, ...method: string[]) => {
      const curl = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"];
      const child = Bun.spawn([...asNobody!, ...curl, ...method, url], { stdout: "pipe" });
      return Number(await new Response(host.own(child).stdout).text());
    };
    const json = (body: object) => [
      ...["--header", "content-type: application/json", "--data", JSON.stringify(body)],
    ];
    expect(await status(`${lake.url}/v1/logs`, ...json({}))).toBe(200);
    expect(await status(`${lake.url}/v1/status`)).toBe(200);
    expect(await status(`${lake.url}/v1/tables`)).toBe(403);
    expect(await status(`${lake.url}/v1/query`, ...json({ sql: "select 1" }))).toBe(403);
    expect((await ask(lake, "select 1")).rows).toEqual([[1]]);
    await lake.stop();
    const { lake: open } = await lakeOf(host, { insecure: true });
    expect(await status(`${open.url}/v1/query`, ...json({ sql: "select 1" }))).toBe(200);
  },
);

test("a lake that stops ends queries that run, and starts again with what it had", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  await putSegment(lake.url, newSegmentId(), [logBlock(100)]);
  const long = "select count(*) from range(100000000000) t(i), log_entries where i % 7 = 1";
  const running = ask(lake, long).catch(() => undefined);
  await until("it runs", async () => (await ask(lake, "select 1")).rows.length === 1);
  await lake.stop();
  await running;
  const { lake: next, log } = await lakeOf(host);
  expect((await ask(next, "select count(*) from log_entries")).rows).toEqual([[100]]);
  expect(log.filter(({ level }: LogLine) => level === "error")).toEqual([]);
});
