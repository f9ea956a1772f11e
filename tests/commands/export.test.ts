// `microview export --perfetto`: which events are fetched, in which pieces, and what is left when that fails.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { LakeClient } from "../../src/explore/index.ts";
import { perfettoFile } from "../../src/explore/perfetto/export.ts";
import { BEGIN_NS, TRACE_ID } from "../explore/fixtures/traces.ts";
import { answer, FakeLake } from "../support/fake-lake.ts";
import { TestHost } from "../support/host.ts";
import { decodePerfetto, shownOf, withoutPerfetto } from "../support/perfetto.ts";
import { runCli } from "./run-cli.ts";

const SPANS = 50;

/** A lake with spans a millisecond apart, a log and a measure, that looks at the bounds of a question. */
function lakeOfSpans(host: TestHost, fails = ""): FakeLake {
  const place = { process_id: "p1", app: "shop", service: "auth", host: "h", thread: 0 };
  const atNs = (i: number) => BEGIN_NS + BigInt(i) * 1_000_000n;
  const rows: Record<string, Record<string, unknown>[]> = {
    spans: Array.from({ length: SPANS }, (_, i) => ({
      ...{ ...place, trace_id: TRACE_ID, span_id: `a${i}`, parent_id: null, name: `n${i}` },
      ...{ kind: "internal", status: "ok", is_async: false, target: "", place: "" },
      ...{ properties: null, begin_text: String(atNs(i)), end_text: String(atNs(i) + 1000n) },
    })),
    log_entries: [
      {
        ...{ ...place, level: "info", target: "", message: "hello", span_id: "a0" },
        ...{ properties: { a: "1" }, time_text: String(BEGIN_NS) },
      },
    ],
    measures: [{ ...place, name: "m", unit: "B", value: 7, time_text: String(BEGIN_NS) }],
  };
  return new FakeLake(host, (sql) => {
    if (fails !== "" && sql.includes(fails)) return '{"columns":[]}\n';
    if (sql.includes("from processes")) {
      return answer({ process_id: "VARCHAR", pid: "BIGINT" }, [["p1", 4711]]);
    }
    const [, table = ""] = /from (\w+)\s+where/.exec(sql)!;
    const all = rows[table]!;
    const timeOf = (row: Record<string, unknown>) =>
      BigInt((row["begin_text"] ?? row["time_text"]) as string);
    if (sql.includes("count(*)")) {
      const times = all.map(timeOf).map(String);
      const types = { n: "BIGINT", first_text: "", last_text: "", end_text: "" };
      return answer(types, [[all.length, times[0], times.at(-1), times.at(-1)]]);
    }
    const [, from, until] = />= (\d+) and \w+ < (\d+) order/.exec(sql)!;
    const wanted = all.filter(
      (row) => timeOf(row) >= BigInt(from!) && timeOf(row) < BigInt(until!),
    );
    const types = Object.fromEntries(Object.keys(all[0]!).map((name) => [name, ""]));
    return answer(
      types,
      wanted.map((row) => Object.values(row)),
    );
  });
}

const reason = withoutPerfetto();
const why = reason === undefined ? "" : ` (skipped: ${reason})`;

describe("microview export --perfetto", () => {
  test.skipIf(reason !== undefined)(
    `writes a file that has all spans, logs and measures of a time${why}`,
    async () => {
      await using host = new TestHost();
      const lake = lakeOfSpans(host);
      const out = join(host.folder, "shop.pftrace");
      const { exitCode, stdout, stderr } = await runCli([
        ...["export", "--perfetto", out, "--lake", lake.url],
      ]);
      expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
      expect(stderr).toStartWith("50 spans, 1 log, 1 measure: ");
      const { unknown, packets } = await decodePerfetto(out);
      expect(unknown).toEqual([]);
      const shown = shownOf(packets);
      const slices = shown.filter(({ kind }) => kind === "slice");
      expect(slices.map(({ name }) => name)).toEqual(
        Array.from({ length: SPANS }, (_, i) => `n${i}`),
      );
      expect(slices.every(({ beginNs, endNs }) => endNs! - beginNs === 1000n)).toBe(true);
      expect(
        shown.filter(({ kind }) => kind !== "slice").map(({ name, value }) => value ?? name),
      ).toEqual(["hello", 7]);
    },
  );

  test("asks for slices of time, each of as many rows as can be sorted at once", async () => {
    await using host = new TestHost();
    const lake = lakeOfSpans(host);
    const counts = { spans: 0, logs: 0, measures: 0 };
    const shares: number[] = [];
    const options = {
      range: {},
      rowsPerSlice: 7,
      onProgress: (share: number) => shares.push(share),
    };
    const client = new LakeClient({ url: lake.url });
    for await (const piece of perfettoFile(client, options, counts)) {
      expect(piece.length).toBeGreaterThan(0);
    }
    expect(counts).toEqual({ spans: SPANS, logs: 1, measures: 1 });
    const slices = lake.asked.filter(({ sql }) => sql.includes("order by spans.begin_ns"));
    expect(slices).toHaveLength(8);
    expect(shares.at(-1)).toBe(1);
    expect(shares.toSorted((a, b) => a - b)).toEqual(shares);
  });

  test("of one trace asks for what belongs to it, and only around it", async () => {
    await using host = new TestHost();
    const lake = lakeOfSpans(host);
    const out = join(host.folder, "slow.pftrace");
    const flags = ["--perfetto", out, "--trace", TRACE_ID, "--lake", lake.url];
    expect((await runCli(["export", ...flags])).exitCode).toBe(0);
    const logs = lake.asked.filter(({ sql }) => sql.includes("from log_entries"));
    expect(logs).toHaveLength(2);
    for (const { sql, from } of logs) {
      expect(sql).toContain(`span_id in (select span_id from spans where trace_id = '${TRACE_ID}'`);
      expect(from).toBe(String(BEGIN_NS - 1_000_000_000n));
    }
  });

  test("replaces no device and no pipe, also by --force, and makes no file named -", async () => {
    await using host = new TestHost();
    const lake = lakeOfSpans(host);
    const pipe = join(host.folder, "pipe");
    expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
    for (const path of [pipe, "-"]) {
      const flags = ["--perfetto", path, "--force", "--lake", lake.url];
      const { exitCode, stderr } = await runCli(["export", ...flags]);
      expect({ exitCode, stderr }).toEqual({
        exitCode: 2,
        stderr: expect.stringContaining(`--perfetto: ${path} is no file`),
      });
    }
    expect(statSync(pipe).isFIFO()).toBe(true);
  });

  test("leaves no file when it fails, and none when there is nothing", async () => {
    await using host = new TestHost();
    const out = join(host.folder, "none.pftrace");
    for (const [lake, words] of [
      [lakeOfSpans(host, "order by measures"), "cut short"],
      [new FakeLake(host, () => answer({ n: "BIGINT" }, [[0]])), "there is nothing to export"],
    ] as const) {
      const { exitCode, stderr } = await runCli(["export", "--perfetto", out, "--lake", lake.url]);
      expect(exitCode).toBe(1);
      expect(stderr).toContain(words);
      expect(existsSync(out)).toBe(false);
      expect(readdirSync(host.folder)).toEqual([]);
    }
  });

  test.each([
    ["no file", [], "--perfetto is missing"],
    ["no id", ["--perfetto", "/tmp/x.pftrace", "--trace", "x"], "no id of a trace"],
    ["no folder", ["--perfetto", "/nowhere/x.pftrace"], "its folder does not exist"],
  ])("refuses %s", async (_name, flags, words) => {
    const { exitCode, stderr } = await runCli(["export", ...flags]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(words);
  });
});
