// `microview query` and `microview trace` in a pseudo terminal, as the built program has them.

import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { REQUEST, sayTrace, TRACE_ID } from "../explore/fixtures/traces.ts";
import { type Asked, answer, FakeLake, type Said } from "../support/fake-lake.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";
import { builtProgram } from "./program.ts";

beforeAll(() => {
  builtProgram();
});

const ONE = answer({ n: "INTEGER" }, [[41]]);

class Conversation {
  readonly child: Bun.Subprocess;
  readonly lake: FakeLake;
  output = "";

  constructor(
    readonly host: TestHost,
    say: (sql: string, asked: Asked) => Said = () => ONE,
    url?: string,
    command: readonly string[] = ["query"],
  ) {
    this.lake = new FakeLake(host, say);
    const decoder = new TextDecoder();
    this.child = host.own(
      Bun.spawn([builtProgram(), ...command, "--lake", url ?? this.lake.url], {
        cwd: host.folder,
        env: { TERM: "xterm-256color", HOME: host.folder, NO_COLOR: "1" },
        terminal: {
          cols: 80,
          rows: 24,
          data: (_terminal, bytes) => {
            this.output += decoder.decode(bytes, { stream: true });
          },
        },
      }),
    );
    host.onEnd(() => this.child.terminal!.close());
  }

  /** What is shown, without styles and movements of the cursor. */
  get text(): string {
    return Bun.stripANSI(this.output).replaceAll("\r", "");
  }

  /** Types, and waits for what that brings. */
  async type(keys: string, what: string, from = this.text.length): Promise<void> {
    this.child.terminal!.write(keys);
    await this.shows(what, from);
  }

  shows(what: string, from = 0): Promise<unknown> {
    return until(`${JSON.stringify(what)} is shown`, () => {
      if (this.text.slice(from).includes(what)) return true;
      throw new Error(`shown is ${JSON.stringify(this.text)}`);
    });
  }
}

describe("the dialogue", () => {
  test("greets, takes statements of several lines, shows answers and ends by Ctrl-D", async () => {
    await using host = new TestHost();
    const talk = new Conversation(host);
    await talk.shows("lake> ");
    expect(talk.text).toContain("2 tables · the last 1h · .help");
    await talk.type("select\r", "  ... ");
    await talk.type("1 as n;\r", "1 row · 12 ms · 2 files\nlake> ");
    expect(talk.text).toContain(" n\n──\n41\n");
    expect(talk.lake.asked[0]!.sql).toBe("select\n1 as n");
    talk.child.terminal!.write("\u0004");
    expect(await talk.child.exited).toBe(0);
  });

  test("keeps a history for its user alone, and has it again", async () => {
    await using host = new TestHost();
    const first = new Conversation(host);
    await first.shows("lake> ");
    await first.type("select 1\r", "  ... ");
    await first.type("from t;\r", "1 row");
    await first.type("\u001b[A", "select 1 from t;");
    await first.type("\u0005\u0015.quit\r", "");
    expect(await first.child.exited).toBe(0);
    const path = join(host.folder, ".local/state/microview/query-history");
    expect(readFileSync(path, "utf8")).toBe("select 1 from t;\n");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const second = new Conversation(host);
    await second.shows("lake> ");
    await second.type("\u001b[A", "select 1 from t;");
    await second.type("\r", "1 row");
  });

  test("completes tables, columns and commands", async () => {
    await using host = new TestHost();
    const talk = new Conversation(host);
    await talk.shows("lake> ");
    await talk.type("select * from lo\t", "log_entries");
    await talk.type(" where ser\t", "service");
    await talk.type(" = 'a';\r", "1 row");
    expect(talk.lake.asked[0]!.sql).toBe("select * from log_entries where service = 'a'");
    const left = "\u001b[D".repeat(" from spans s;".length);
    await talk.type("select s.dur from spans s;", "spans s;");
    await talk.type(`${left}\t`, "s.duration_ms");
    await talk.type("\r", "1 row");
    expect(talk.lake.asked[1]!.sql).toBe("select s.duration_ms from spans s");
    await talk.type(".schema sp\t", "spans");
    await talk.type("\r", "duration_ms  DOUBLE");
    await talk.type(".sch\t", ".schema");
    await talk.type(" spans\r", "duration_ms  DOUBLE");
  });

  test("Ctrl-C ends a query, in the lake too, and takes back what was typed", async () => {
    await using host = new TestHost();
    const talk = new Conversation(host, (sql) => (sql === "slow" ? "hang" : ONE));
    await talk.shows("lake> ");
    talk.child.terminal!.write("slow;\r");
    await until("it asks", () => talk.lake.asked.length === 1);
    await talk.type("\u0003", "ended by Ctrl-C\nlake> ");
    await until("the lake sees that it has gone", () => talk.lake.asked[0]!.isLeft);
    await talk.type("select wrong\r", "  ... ");
    await talk.type("more\u0003", "lake> ");
    await talk.type("select 2;\r", "1 row");
    expect(talk.lake.asked[1]!.sql).toBe("select 2");
  });

  test("has commands for time and format, and says which was meant", async () => {
    await using host = new TestHost();
    const talk = new Conversation(host);
    await talk.shows("lake> ");
    await talk.type(".last 15m\r", "the last 15m\n");
    await talk.type(".format ndjson\r", "\nndjson\n");
    await talk.type("select 1;\r", '{"n":41}');
    expect(Date.now() - Date.parse(talk.lake.asked[0]!.from!)).toBeWithin(899_000, 990_000);
    await talk.type(".tables\r", "log_entries\nspans\n");
    await talk.type(".hlep\r", "did you mean .help?");
    await talk.type(".help\r", "Tab completes");
    await talk.type("quit\r", ".quit is the command");
    await talk.type("help;\r", ".help is the command");
    await talk.type(".last never\r", ".last is not a duration");
  });

  test("goes on after an error, whose place it shows", async () => {
    await using host = new TestHost();
    const error = {
      code: "sql",
      message: "there is no column x",
      position: 7,
    };
    const talk = new Conversation(host, (sql) =>
      sql.includes("x") ? Response.json(error, { status: 400 }) : ONE,
    );
    await talk.shows("lake> ");
    await talk.type("select x;\r", "there is no column x\n  select x\n         ^\nlake> ");
    await talk.type("select 1;\r", "1 row");
  });

  test("shows no byte of an answer that is an order to the terminal, in no format", async () => {
    await using host = new TestHost();
    const evil = "\u001b]0;title\u0007 \u202e";
    const talk = new Conversation(host, (_sql, { format }) =>
      format === "csv" ? `a\r\n${evil}\r\n` : answer({ a: "VARCHAR" }, [[evil]]),
    );
    await talk.shows("lake> ");
    await talk.type("select 1;\r", "\\x1b]0;title\\x07 \\u{202e}\n");
    await talk.type(".format ndjson\r", "\nndjson\n");
    await talk.type("select 1;\r", '{"a":"\\u001b]0;title\\u0007 \\u202e"}');
    await talk.type(".format csv\r", "\ncsv\n");
    await talk.type("select 1;\r", "a\n\\x1b]0;title\\x07 \\u{202e}\n");
    expect(talk.output).not.toContain("\u001b]0;title");
  });

  test("ends by a signal", async () => {
    await using host = new TestHost();
    const talk = new Conversation(host);
    await talk.shows("lake> ");
    talk.child.kill("SIGTERM");
    expect(await talk.child.exited).toBe(0);
  });

  test("does not begin where there is no lake, and says what to start", async () => {
    await using host = new TestHost();
    const talk = new Conversation(host, undefined, "http://127.0.0.1:1");
    expect(await talk.child.exited).toBe(1);
    await talk.shows("start one with `microview lake`");
    expect(talk.text).not.toContain("lake> ");
  });
});

describe("a question that takes long", () => {
  test("has a bar on the terminal until its answer comes", async () => {
    await using host = new TestHost();
    const { promise: isSeen, resolve } = Promise.withResolvers<void>();
    const say = () =>
      (async function* () {
        const [columns, ...rest] = ONE.map((line) => `${JSON.stringify(line)}\n`);
        yield `${columns}{"progress":0.25}\n`;
        await isSeen;
        yield rest.join("");
      })();
    const talk = new Conversation(host, say, undefined, ["query", "select 1"]);
    await talk.shows("  25 % ");
    resolve();
    expect(await talk.child.exited).toBe(0);
    await talk.shows("1 row · 12 ms · 2 files");
    // The bar's line is erased before anything else is written.
    const last = talk.output.slice(talk.output.lastIndexOf(" % "));
    expect(last).toContain("\r\u001b[K n\r\n");
  });
});

describe("the list of traces on a terminal", () => {
  const SUMMARY = answer(
    {
      ...{ trace_id: "VARCHAR", begin_text: "VARCHAR", ms: "DOUBLE", many: "BIGINT" },
      ...{
        services: "BIGINT",
        troubles: "BIGINT",
        first_service: "VARCHAR",
        first_name: "VARCHAR",
      },
    },
    [[TRACE_ID, "1769860800000000000", 24.5, 6, 3, 1, "gateway", "POST /buy"]],
  );
  const say = (sql: string) =>
    sql.includes("group by trace_id") ? SUMMARY : sayTrace(REQUEST)(sql);

  test("lets one be picked, and shows it as wide as the terminal is", async () => {
    await using host = new TestHost();
    const talk = new Conversation(host, say, undefined, ["trace"]);
    await talk.shows("show which (1–1, Enter for none)? ");
    // Its last digits are whole, so that they can be given again.
    expect(talk.text).toContain(`  ${TRACE_ID.slice(-12)}\n`);
    await talk.type("99\r", "show which (1–1, Enter for none)? ");
    await talk.type("1\r", "no stock left");
    expect(await talk.child.exited).toBe(0);
    const lines = talk.text.slice(talk.text.indexOf(`\ntrace ${TRACE_ID}`)).split("\n");
    const bar = lines.find((line) => line.startsWith("gateway  POST"))!;
    expect(Bun.stringWidth(bar)).toBeLessThanOrEqual(80);
    expect(bar).toContain("█");
  });

  test.each([
    ["Enter", "\r"],
    ["Ctrl-C", "\u0003"],
    ["Ctrl-D", "\u0004"],
  ])("%s shows none", async (_name, key) => {
    await using host = new TestHost();
    const talk = new Conversation(host, say, undefined, ["trace"]);
    await talk.shows("show which (1–1, Enter for none)? ");
    talk.child.terminal!.write(key);
    expect(await talk.child.exited).toBe(0);
    expect(talk.lake.asked).toHaveLength(1);
  });
});
