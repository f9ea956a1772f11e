// `microview query`: where the SQL comes from, where the answer goes, and what is said when something is wrong.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { answer, FakeLake } from "../support/fake-lake.ts";
import { CLI, TestHost } from "../support/host.ts";
import { outcomeOf } from "../support/outcome.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";
import { runCli } from "./run-cli.ts";

const LEVELS = answer({ level: "VARCHAR", count: "BIGINT" }, [
  ["info", 41],
  ["error", 2],
]);
const SQL = "select level, count(*) from log_entries group by level";

describe("microview query", () => {
  test("prints NDJSON into a pipe, and a table where that is asked for", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () => LEVELS);
    const piped = await runCli(["query", SQL, "--lake", lake.url]);
    expect(piped).toEqual({
      exitCode: 0,
      stdout: '{"level":"info","count":41}\n{"level":"error","count":2}\n',
      stderr: "",
    });
    const table = await runCli(["query", SQL, "--format", "table"], { MICROVIEW_LAKE: lake.url });
    expect(table.stdout).toBe("level  count\n─────  ─────\ninfo      41\nerror      2\n");
    expect(lake.asked.map(({ sql, format }) => [sql, format])).toEqual([
      [SQL, "ndjson"],
      [SQL, "ndjson"],
    ]);
  });

  test("asks about the last hour, a duration, or from one time to another", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () => LEVELS);
    const before = Date.now();
    await runCli(["query", SQL, "--lake", lake.url]);
    await runCli(["query", SQL, "--lake", lake.url, "--last", "2d"]);
    const range = ["--from", "2026-01-31T12:00:00Z", "--to", "2026-01-31T13:00:00+00:30"];
    await runCli(["query", SQL, "--lake", lake.url, ...range]);
    const agoMs = lake.asked.map(({ from }) => before - Date.parse(from!));
    expect(agoMs[0]).toBeWithin(3_600_000 - 60_000, 3_600_001);
    expect(agoMs[1]).toBeWithin(2 * 86_400_000 - 60_000, 2 * 86_400_000 + 1);
    expect(lake.asked[2]).toMatchObject({
      from: "2026-01-31T12:00:00.000Z",
      to: "2026-01-31T12:30:00.000Z",
    });
    expect(lake.asked[0]!.to).toBeUndefined();
  });

  test("takes the SQL from a file, and from standard input", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () => LEVELS);
    const file = join(host.folder, "report.sql");
    writeFileSync(file, SQL);
    await runCli(["query", "--file", file, "--lake", lake.url]);
    for (const operand of [["-"], []]) {
      const child = Bun.spawn([process.execPath, CLI, "query", ...operand, "--lake", lake.url], {
        env: surroundings(),
        stdin: Buffer.from("select 2"),
        stdout: "pipe",
        stderr: "pipe",
      });
      expect((await outcomeOf(child)).exitCode).toBe(0);
    }
    expect(lake.asked.map(({ sql }) => sql)).toEqual([SQL, "select 2", "select 2"]);
  });

  test("writes a file in the format of its name, whole or not at all", async () => {
    await using host = new TestHost();
    const bytes = new Uint8Array([0, 255, 10]);
    const lake = new FakeLake(host, (sql, { format }) => {
      if (sql === "broken") return '{"columns":[]}\n';
      return format === "ndjson" ? LEVELS : bytes;
    });
    const ask = (sql: string, ...flags: string[]) =>
      runCli(["query", sql, "--lake", lake.url, ...flags]);
    for (const format of ["csv", "arrow", "parquet"]) {
      const out = join(host.folder, `answer.${format}`);
      expect(await ask(SQL, "--out", out)).toEqual({ exitCode: 0, stdout: "", stderr: "" });
      expect(lake.asked.at(-1)!.format).toBe(format);
      expect(new Uint8Array(readFileSync(out))).toEqual(bytes);
    }
    const out = join(host.folder, "answer.ndjson");
    await ask(SQL, "--out", out);
    expect(readFileSync(out, "utf8")).toStartWith('{"level":"info"');
    const again = await ask(SQL, "--out", out);
    expect(again.exitCode).toBe(2);
    expect(again.stderr).toContain("already exists");
    expect((await ask(SQL, "--out", out, "--force")).exitCode).toBe(0);
    const broken = join(host.folder, "broken.ndjson");
    expect((await ask("broken", "--out", broken)).exitCode).toBe(1);
    expect(existsSync(broken)).toBe(false);
    expect(readdirSync(host.folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("shows a plan as the picture that it is", async () => {
    await using host = new TestHost();
    const plan = "┌───┐\n│ A\u001b │\n└───┘\n";
    const types = { explain_key: "VARCHAR", explain_value: "VARCHAR" };
    const lake = new FakeLake(host, () => answer(types, [["physical_plan", plan]]));
    const flags = ["--format", "table", "--lake", lake.url];
    const { stdout } = await runCli(["query", "explain select 1", ...flags]);
    expect(stdout).toBe("┌───┐\n│ A\\x1b │\n└───┘\n");
  });

  test("says why metrics may be empty", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () => answer({ name: "VARCHAR" }, []));
    const ask = async (sql: string) => (await runCli(["query", sql, "--lake", lake.url])).stderr;
    expect(await ask("select name from metrics")).toContain("start it with --otlp URL too");
    expect(await ask("select name from spans")).toBe("");
  });

  test("passes on what the lake writes as CSV", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () => "a,b\n1,2\n");
    const { stdout } = await runCli(["query", SQL, "--format", "csv", "--lake", lake.url]);
    expect(stdout).toBe("a,b\n1,2\n");
  });

  test("shows where an error in the SQL is", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () =>
      Response.json(
        {
          code: "sql",
          message: "there is no column nmae",
          hint: "did you mean name?",
          position: 7,
        },
        { status: 400 },
      ),
    );
    const { exitCode, stderr } = await runCli([
      "query",
      "select nmae from spans",
      "--lake",
      lake.url,
    ]);
    expect(exitCode).toBe(1);
    expect(stderr).toBe(
      "microview: there is no column nmae\n  select nmae from spans\n         ^\nhint: did you mean name?\n",
    );
  });

  test("sends the token of a file, and says which scope one needs", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, (_sql, { authorization }) =>
      authorization === "Bearer abc"
        ? LEVELS
        : Response.json({ code: "unauthorized", message: "a token is needed" }, { status: 401 }),
    );
    const file = join(host.folder, "token");
    writeFileSync(file, "abc\n");
    const ask = (...flags: string[]) => runCli(["query", SQL, "--lake", lake.url, ...flags]);
    expect((await ask("--token-file", file)).exitCode).toBe(0);
    const { exitCode, stderr } = await ask();
    expect(exitCode).toBe(1);
    expect(stderr).toContain("refuses: a token is needed");
    expect(stderr).toContain("hint: give --token-file FILE");
    expect(stderr).toContain("events:read");
  });

  test("that meets an agent, a lake of the other protocol, or a token that it does not know says so", async () => {
    await using host = new TestHost();
    const ask = async (...flags: string[]) => (await runCli(["query", SQL, ...flags])).stderr;
    const agent = new FakeLake(host, () =>
      Response.json(
        { code: "no-such-route", message: "no", hint: "GET /metrics" },
        { status: 404 },
      ),
    );
    expect(await ask("--lake", agent.url)).toContain(
      `what answers at ${agent.url} is an agent or a collector, not a lake\nhint: --lake names`,
    );
    const secure = agent.url.replace("http:", "https:");
    expect(await ask("--lake", secure)).toBe(
      `microview: cannot ask the lake at ${secure}: it speaks no TLS: it answers in plain HTTP\nhint: give --lake ${agent.url}\n`,
    );
    const ca = ["--ca", "/nowhere.pem"];
    expect(await ask("--lake", agent.url, ...ca)).toContain("write https:// in --lake");
    const file = join(host.folder, "token");
    writeFileSync(file, "wrong\n");
    const strict = new FakeLake(host, () =>
      Response.json(
        { code: "denied", message: "it is not known", hint: "send Authorization" },
        { status: 401 },
      ),
    );
    expect(await ask("--lake", strict.url, "--token-file", file)).toContain(
      "refuses: it is not known\nhint: give --token-file another file",
    );
  });

  test("refuses a file whose ending is no format, and names those that are", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () => LEVELS);
    const out = join(host.folder, "answer.txt");
    const ask = (...flags: string[]) =>
      runCli(["query", SQL, "--lake", lake.url, "--out", out, ...flags]);
    const { exitCode, stderr } = await ask();
    expect([exitCode, existsSync(out)]).toEqual([2, false]);
    expect(stderr).toContain("end it with .ndjson, .csv, .arrow or .parquet, or give --format");
    expect(await ask("--format", "table")).toMatchObject({ exitCode: 0, stderr: "" });
  });

  test("where no lake is, says what to start", async () => {
    const { exitCode, stderr } = await runCli(["query", SQL, "--lake", "http://127.0.0.1:1"]);
    expect(exitCode).toBe(1);
    expect(stderr).toBe(
      "microview: cannot ask the lake at http://127.0.0.1:1: nobody listens there\nhint: start one with `microview lake`, or say where one is with --lake URL or MICROVIEW_LAKE\n",
    );
  });

  test("says so when what answers is no lake", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () => new Response("<html>\u001b[2J", { status: 404 }));
    const { stderr } = await runCli(["query", SQL, "--lake", lake.url]);
    expect(stderr).toContain(`what answers at ${lake.url} is no lake: 404 <html>\ufffd[2J`);
  });

  test("Ctrl-C ends the query in the lake too", async () => {
    await using host = new TestHost();
    const lake = new FakeLake(host, () => "hang");
    const child = host.own(
      Bun.spawn([process.execPath, CLI, "query", SQL, "--lake", lake.url], {
        env: surroundings(),
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      }),
    );
    await until("it asks", () => lake.asked.length === 1);
    child.kill("SIGINT");
    expect((await outcomeOf(child)).exitCode).toBe(130);
    await until("the lake sees that it has gone", () => lake.asked[0]!.isLeft);
  });

  test("ends quietly when nobody reads the answer any more, and so does the query", async () => {
    await using host = new TestHost();
    const row = `${JSON.stringify(["x".repeat(1000)])}\n`;
    const lake = new FakeLake(host, async function* () {
      yield '{"columns":[{"name":"a","type":"VARCHAR"}]}\n';
      for (;;) {
        yield row.repeat(100);
        await Bun.sleep(1);
      }
    });
    const command = `"${process.execPath}" "${CLI}" query 'select 1' --lake ${lake.url} | head -1 | wc -c; echo "\${PIPESTATUS[0]}"`;
    const child = Bun.spawn(["bash", "-c", command], {
      env: surroundings(),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const { stdout, stderr } = await outcomeOf(child);
    expect({ stdout, stderr }).toEqual({ stdout: "1009\n141\n", stderr: "" });
    await until("the lake sees that it has gone", () => lake.asked[0]!.isLeft);
  });

  test.each([
    ["two ranges", ["--last", "1h", "--to", "1h"], "--last and --from"],
    ["a range backwards", ["--from", "1h", "--to", "2h"], "--from is not before --to"],
    ["no time", ["--from", "yesterday"], "--from is no time"],
    ["no URL", ["--lake", "ftp://a"], "no URL of a lake"],
    ["a password", ["--lake", "http://u:secret@a"], "user or password"],
    ["a path", ["--lake", "http://a/b"], "more in its URL"],
    [
      "a name without a format",
      ["--out", "answer"],
      "end it with .ndjson, .csv, .arrow or .parquet",
    ],
    ["two sources of SQL", ["--file", "a.sql"], "SQL and --file"],
  ])("refuses %s", async (_name, flags, words) => {
    const { exitCode, stderr } = await runCli(["query", SQL, ...flags]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(words);
    expect(stderr).not.toContain("secret");
  });
});
