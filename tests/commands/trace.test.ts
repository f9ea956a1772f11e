// `microview trace`: which trace is shown, as text and as JSON, and what is said when there is none.

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BEGIN_NS, REQUEST, sayTrace, TRACE_ID } from "../explore/fixtures/traces.ts";
import { answer, FakeLake } from "../support/fake-lake.ts";
import { TestHost } from "../support/host.ts";
import { runCli } from "./run-cli.ts";

const SUMMARY = {
  ...{ trace_id: "VARCHAR", begin_text: "VARCHAR", ms: "DOUBLE", many: "BIGINT" },
  ...{ services: "BIGINT", troubles: "BIGINT", first_service: "VARCHAR", first_name: "VARCHAR" },
};

describe("microview trace", () => {
  test("shows a trace by the beginning of its id, by a traceparent, and by an id with dashes", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, sayTrace(REQUEST));
    const uuid = TRACE_ID.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    for (const id of ["4BF92F35", `00-${TRACE_ID}-00f067aa0ba902b7-01`, uuid]) {
      const { exitCode, stdout, stderr } = await runCli(["trace", id, "--lake", lake.url]);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(stdout).toContain(`trace ${TRACE_ID} POST /buy/:user/:count\n`);
      expect(stdout).toContain("session found {user: user-7}");
    }
    expect(lake.asked[0]!.sql).toContain(
      "(trace_id between '4bf92f35000000000000000000000000' and '4bf92f35ffffffffffffffffffffffff' or right(trace_id, 8) = '4bf92f35')",
    );
    // Logs are looked for around the trace alone.
    expect(lake.asked[1]).toMatchObject({
      sql: expect.stringContaining(`where trace_id = '${TRACE_ID}'`),
      from: String(BEGIN_NS - 1_000_000_000n),
      to: String(BEGIN_NS + 1_024_000_000n),
    });
  });

  test("as JSON has all that is known, with times to the nanosecond", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, sayTrace(REQUEST));
    const { stdout } = await runCli(["trace", TRACE_ID, "--json", "--lake", lake.url]);
    const trace = JSON.parse(stdout);
    expect(trace).toMatchObject({ traceId: TRACE_ID, beginNs: String(BEGIN_NS), durationMs: 24 });
    expect(trace.spans).toHaveLength(6);
    expect(trace.spans[2]).toMatchObject({
      spanId: "b1",
      parentId: "a2",
      service: "auth",
      durationMs: 2.7,
      logs: [{ level: "info", message: "session found" }],
    });
    expect(trace.spans[5]).toMatchObject({ status: "lost", endNs: null, durationMs: null });
  });

  test("of several that begin or end alike, says which there are, and when each began", async () => {
    await using host = new TestHost();
    const other = TRACE_ID.replace(/.$/, "0");
    const types = {
      ...{ trace_id: "VARCHAR", begin_text: "VARCHAR", first_service: "VARCHAR" },
      ...{ first_name: "VARCHAR", traces: "BIGINT" },
    };
    const candidates = [
      [TRACE_ID, String(BEGIN_NS), "gateway", "POST /buy", 12],
      [other, String(BEGIN_NS), "auth", "check", 12],
    ];
    const lake = new FakeLake(host, (sql) =>
      sql.includes("arg_min")
        ? answer(types, candidates)
        : answer({ trace_id: "VARCHAR" }, [[TRACE_ID], [other], [TRACE_ID]]),
    );
    const begun = new Date(Number(BEGIN_NS / 1_000_000n)).toISOString();
    const said = [
      "12 traces have ids that begin or end with 4bf92f35:",
      `  ${TRACE_ID}  ${begun}  gateway  POST /buy`,
      `  ${other}  ${begun}  auth  check`,
      "  and 10 more",
      "hint: give more digits",
      "",
    ].join("\n");
    const file = join(host.folder, "a.pftrace");
    for (const args of [
      ["trace", "4bf92f35"],
      ["export", "--perfetto", file, "--trace", "4bf92f35"],
    ]) {
      const { exitCode, stderr } = await runCli([...args, "--lake", lake.url]);
      expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: `microview: ${said}` });
    }
    expect(existsSync(file)).toBe(false);
  });

  test("that is not there is looked for further back", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () => answer({ trace_id: "VARCHAR" }, []));
    const { exitCode, stderr } = await runCli(["trace", "4bf92f35", "--lake", lake.url]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("--last 1d looks further back");
  });

  test("without an id lists those that took longest", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () =>
      answer(SUMMARY, [[TRACE_ID, String(BEGIN_NS), 24.5, 6, 3, 1, "gateway", "POST /buy"]]),
    );
    const { stdout } = await runCli(["trace", "--lake", lake.url]);
    expect(stdout.split("\n")).toEqual([
      "#  began         took     spans  services  troubles  first              trace",
      "─  ────────────  ───────  ─────  ────────  ────────  ─────────────────  ────────────────────────────────",
      `1  12:00:00.000  24.5 ms      6         3         1  gateway POST /buy  ${TRACE_ID}`,
      "",
    ]);
    const { stdout: json } = await runCli(["trace", "--json", "--lake", lake.url]);
    expect(JSON.parse(json)).toMatchObject({ traceId: TRACE_ID, durationMs: 24.5 });
  });

  test("says so when there are none", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () => answer(SUMMARY, []));
    expect(await runCli(["trace", "--last", "5m", "--lake", lake.url])).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: "microview: there are no traces in the last 5m\nhint: --last 1d looks further back\n",
    });
  });

  test.each([["4bf92f3"], ["not-an-id"], [`${TRACE_ID}0`]])("refuses %s", async (id) => {
    const { exitCode, stderr } = await runCli(["trace", id]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("8 to 32 hexadecimal digits");
  });
});
