// Answers of a lake over HTTP: how they break, and what happens when nobody reads them.

import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { TestHost } from "../../support/host.ts";
import { type Lake, lakeOf } from "../../support/lakes.ts";
import { patience } from "../../support/speed.ts";
import { until } from "../../support/wait.ts";

// Processes of queries load DuckDB first.
setDefaultTimeout(patience(60_000));

const LATE =
  "SELECT CASE WHEN i = 900000 THEN error('late') ELSE 'x' END AS x FROM range(1000000) r(i)";
const FLOOD = "SELECT repeat('x', 1000) AS text, range FROM range(1000000000)";
const ENDLESS =
  "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range, b.range) = 1";

function ask(
  { url }: Lake,
  sql: string,
  more: object = {},
  init: RequestInit = {},
): Promise<Response> {
  return fetch(`${url}/v1/query`, {
    method: "POST",
    body: JSON.stringify({ sql, ...more }),
    ...init,
  });
}

/** Processes of queries that this process has started. */
function processes(): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      const parent = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
      return (
        parent === String(process.pid) &&
        readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("query-process")
      );
    } catch {
      return false;
    }
  });
}

test("an answer that an error cuts breaks the connection, or says so in its last line", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  for (const format of ["csv", "arrow"]) {
    const response = await ask(lake, LATE, { format });
    expect(response.status).toBe(200);
    expect(
      await response.bytes().then(
        () => "whole",
        () => "broken",
      ),
    ).toBe("broken");
  }
  const lines = (await (await ask(lake, LATE)).text()).trim().split("\n");
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({
    error: { code: "sql-error", message: "late" },
  });
});

test("what nobody reads is not made, and whoever leaves ends the query", async () => {
  await using host = new TestHost();
  const { lake, log } = await lakeOf(host);
  const before = new Set(processes());
  const caller = new AbortController();
  const response = await ask(lake, FLOOD, {}, { signal: caller.signal });
  const reader = response.body!.getReader();
  await reader.read();
  caller.abort();
  await until("the log has the query", () => log.some(({ outcome }) => outcome === "gone"));
  await until("its process has ended", () =>
    [...before].every((pid) => !existsSync(`/proc/${pid}`)),
  );
});

test("more queries than can wait are told when to come again", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host, { queries: { concurrent: 1, waiting: 0 } });
  const caller = new AbortController();
  const running = ask(lake, ENDLESS, {}, { signal: caller.signal }).then((response) =>
    response.text().catch(() => ""),
  );
  const refused = await until("one is refused", async () => {
    const response = await ask(lake, "SELECT 1");
    return response.status === 429 && response;
  });
  expect(refused.headers.get("retry-after")).toBe("1");
  expect(await refused.json()).toMatchObject({ code: "too-many-queries" });
  caller.abort();
  await running.catch(() => {});
});

test("each query has a line in the log that says who asked and what became of it, and no SQL", async () => {
  await using host = new TestHost();
  const { lake, log } = await lakeOf(host);
  await (await ask(lake, "SELECT count(*) AS secret_name FROM log_entries")).text();
  await (await ask(lake, "DROP VIEW secret_name")).text();
  const lines = await until("both are logged", () => {
    const found = log.filter(({ audit }) => audit === "query");
    return found.length === 2 && found;
  });
  expect(lines).toMatchObject([
    { level: "info", who: "anyone", outcome: "ok", tables: "log_entries", rows: 1, files: 0 },
    { level: "info", who: "anyone", outcome: "not-a-select", tables: "", rows: 0 },
  ]);
  expect(JSON.stringify(log)).not.toContain("secret_name");
});
