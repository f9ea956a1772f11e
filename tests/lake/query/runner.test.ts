// Queries from end to end: in a process of their own, over files, until the last byte of their answer.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { QueryError } from "../../../src/lake/index.ts";
import { LEGITIMATE } from "./fixtures/legitimate.ts";
import { BEGIN_NS, LOG_ROWS, readAnswer, SmallLake } from "./fixtures/small-lake.ts";

let lake: SmallLake;

beforeAll(async () => {
  lake = await SmallLake.make();
});
afterAll(() => lake.remove());

const STAYS = new AbortController().signal;

describe("a query", () => {
  test("answers lines of JSON: columns, rows, and an end", async () => {
    const runner = lake.runner();
    const response = await runner.run(
      {
        sql: "SELECT time, time_ns, level, span_id, properties FROM log_entries ORDER BY time LIMIT 2",
      },
      STAYS,
    );
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

  test("sees what its range holds alone", async () => {
    const runner = lake.runner();
    const counted = async (range: { from?: string; to?: string }) =>
      (
        await readAnswer(
          await runner.run({ sql: "SELECT count(*) FROM log_entries", ...range }, STAYS),
        )
      ).rows[0]![0];
    expect(await counted({})).toBe(LOG_ROWS);
    expect(await counted({ from: "2026-12-01T10:00:01Z" })).toBe(LOG_ROWS - 1_000);
    expect(
      await counted({ from: "2026-12-01T11:00:00+01:00", to: "2026-12-01T10:00:00.000000001Z" }),
    ).toBe(1);
    expect(await counted({ to: String(BEGIN_NS) })).toBe(0);
  });
});

test("every legitimate query runs", async () => {
  const runner = lake.runner({ limits: { concurrent: 2, waiting: 1_000 }, warm: 2 });
  const failed: unknown[] = [];
  await Promise.all(
    LEGITIMATE.map(async (sql) => {
      const { error, end } = await readAnswer(await runner.run({ sql }, STAYS)).catch(
        (reason: QueryError) => ({ error: reason, end: undefined }),
      );
      if (error !== undefined || end === undefined) failed.push([sql, error?.message]);
    }),
  );
  expect(failed).toEqual([]);
});
