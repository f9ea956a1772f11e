// `microview events tail`: what it prints, for people and for programs, and what it takes.

import { describe, expect, test } from "bun:test";
import { styleFor } from "../../src/command-line/index.ts";
import { rowText } from "../../src/commands/events/row-text.ts";
import type { EventRow } from "../../src/events/index.ts";
import { CLI, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { surroundings } from "../support/surroundings.ts";
import { runCli } from "./run-cli.ts";

/** A host with two services that have recorded some events. */
function recorded(host: TestHost): void {
  const auth = host.client({ poolDir: host.poolDir });
  auth.log.info("signed in", { user: 7, password: "hunter2" });
  auth.log.warn("slow answer", { ms: 812.5 });
  auth.measure("latency", "seconds").record(0.25);
  auth.span("request").run(() => auth.log.error(new Error("no answer")));
  host.client({ poolDir: host.poolDir, service: "cart" }).log.info("cart is empty");
}

async function tailed(host: TestHost, ...flags: string[]): Promise<Record<string, unknown>[]> {
  const all = ["events", "tail", "--once", "--pool-dir", host.poolDir, ...flags];
  const { stdout, stderr, exitCode } = await runCli(all);
  expect([exitCode, stderr.replace(/^microview: no service matches .*\n/, "")]).toEqual([0, ""]);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

describe("microview events tail --once", () => {
  test("prints NDJSON into a pipe: logs, measures, spans, with times and who recorded them", async () => {
    await using host = new TestHost();
    recorded(host);
    const rows = await tailed(host, "--service", "auth");
    expect(rows.map(({ kind }) => kind)).toEqual(["log", "log", "measure", "log", "span"]);
    expect(rows[0]).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
      app: "shop",
      service: "auth",
      pid: process.pid,
      thread: 0,
      kind: "log",
      level: "info",
      message: "signed in",
      properties: { user: 7, password: "[redacted]" },
    });
    expect(rows[4]).toMatchObject({ name: "request", status: "ok", depth: 0 });
  });

  test("has only what was asked for: by service, level and pattern", async () => {
    await using host = new TestHost();
    recorded(host);
    const messages = async (...flags: string[]) =>
      (await tailed(host, ...flags)).map(({ message, name }) => message ?? name);
    expect(await messages("--service", "c*")).toEqual(["cart is empty"]);
    expect(await messages("--level", "warn")).toEqual(["slow answer", "no answer"]);
    // Ids of spans are looked through too: of digits alone they may have any.
    expect(await messages("--grep", "812\\.5|LATENCY")).toEqual(["slow answer", "latency"]);
    expect(await messages("--app", "bank")).toEqual([]);
  }, 60_000);

  test("says that there is nothing, and what records something", async () => {
    await using host = new TestHost();
    const { stdout, stderr, exitCode } = await runCli([
      ...["events", "tail", "--once", "--pool-dir", host.poolDir],
    ]);
    expect([exitCode, stdout]).toEqual([0, ""]);
    expect(stderr).toContain("there are no events");
  });

  test("says which filter nothing fits, and which services there are", async () => {
    await using host = new TestHost();
    recorded(host);
    const told = async (...flags: string[]) => {
      const all = ["events", "tail", "--once", "--pool-dir", host.poolDir, ...flags];
      return (await runCli(all)).stderr;
    };
    expect(await told("--app", "bank")).toBe(
      "microview: no service matches --app bank; there are shop/auth, shop/cart\n",
    );
    expect(await told("--service", "cart", "--level", "fatal")).toBe(
      "microview: nothing matches --level fatal yet, of 1 event\n",
    );
  });

  test("has help about one action alone", async () => {
    const { stdout: tail } = await runCli(["events", "tail", "--help"]);
    expect(tail).toContain("--grep REGEX");
    expect(tail).toContain("  only logs of this level and worse\n");
    expect(tail).not.toContain("--sample");
    const { stdout: set } = await runCli(["events", "set", "--help"]);
    expect(set).toContain("--sample 1/N");
    expect(set).toContain("microview events set --reset");
    expect(set).not.toContain("--grep");
    expect(set).not.toContain("events tail --");
  });

  test("refuses what it does not know", async () => {
    for (const [flags, hint] of [
      [["--level", "warm"], "did you mean warn?"],
      [["--grep", "("], "--grep is no pattern"],
    ] as const) {
      const { stderr, exitCode } = await runCli(["events", "tail", ...flags]);
      expect(exitCode).toBe(2);
      expect(stderr).toContain(hint);
    }
    const { stderr, exitCode } = await runCli(["events", "tails"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("did you mean tail?");
    const { stderr: missing } = await runCli(["events", "tail", "--pool-dir", "/nowhere"]);
    expect(missing).toContain("/nowhere");
  });
});

describe("microview events tail", () => {
  test("follows: what comes later, and from services that start later", async () => {
    await using host = new TestHost();
    const child = host.own(
      Bun.spawn([process.execPath, CLI, "events", "tail", "--pool-dir", host.poolDir], {
        env: surroundings(),
        stdin: "ignore",
        stdout: "pipe",
        stderr: "ignore",
      }),
    );
    const mv = host.client({ poolDir: host.poolDir });
    const lines = new Lines(child.stdout);
    mv.log.info("first");
    expect(JSON.parse(await lines.next())).toMatchObject({ message: "first" });
    mv.log.info("second");
    expect(JSON.parse(await lines.next())).toMatchObject({ message: "second" });
    host.client({ poolDir: host.poolDir, app: "bank", service: "loan" }).log.info("third");
    expect(JSON.parse(await lines.next())).toMatchObject({ app: "bank", message: "third" });
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  });
});

describe("a line for people", () => {
  const UNSAFE = /[\p{Cc}\p{Cf}]/u;
  const style = styleFor({ isTTY: false }, {});
  const from = {
    timeMs: Date.UTC(2026, 0, 31, 12, 0, 0, 5),
    app: "shop",
    service: "auth",
    pid: 1,
    thread: 0,
  };

  test("has time, level, service, message and properties, and an error's stack below", () => {
    const row: EventRow = {
      ...from,
      kind: "log",
      level: "error",
      message: "no answer",
      properties: { ms: 5, error: { name: "Error", message: "x", stack: "Error: x\n    at y" } },
      spanId: undefined,
      truncated: true,
    };
    expect(rowText(row, style)).toBe(
      "12:00:00.005 ERROR   shop/auth no answer ms=5 (cut)\n    Error: x\n        at y\n",
    );
  });

  test("lets no byte of a service reach the terminal as a command", () => {
    const evil = "\u001b[2J\u202e\n";
    const row: EventRow = {
      ...from,
      service: evil,
      kind: "log",
      level: "info",
      message: evil,
      properties: { [evil]: evil, deep: { [evil]: [evil] }, error: { stack: evil } },
      spanId: undefined,
      truncated: false,
    };
    expect(rowText(row, style).replaceAll("\n", "")).not.toMatch(UNSAFE);
    const measure: EventRow = {
      ...from,
      kind: "measure",
      name: evil,
      unit: evil,
      value: 1,
      properties: {},
      truncated: false,
    };
    expect(rowText(measure, style).trimEnd()).not.toMatch(UNSAFE);
  });

  test("indents spans by their depth, and says what was refused", () => {
    const span: EventRow = {
      ...from,
      kind: "span",
      target: "",
      spanKind: "internal",
      properties: {},
      name: "query",
      status: "error",
      durationMs: 1.5,
      spanId: "1",
      parentId: "2",
      depth: 1,
      traceId: "3",
    };
    expect(rowText(span, style)).toBe("12:00:00.005 SPAN    shop/auth   query 1.5 ms error\n");
    const refused: EventRow = {
      ...from,
      kind: "refused",
      spans: 3,
      measures: 0,
      logs: 1,
      severe: 0,
      failed: 0,
    };
    expect(rowText(refused, style)).toContain("3 spans, 0 measures, 1 logs below warn");
  });
});

test("a --pool-dir that is not there is said, and what to do", async () => {
  const { stderr, exitCode } = await runCli(["events", "tail", "--pool-dir", "/nowhere/at/all"]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain("--pool-dir /nowhere/at/all cannot be read: ENOENT");
  expect(stderr).toContain("hint: name the folder that the agent has as its --pool-dir");
});
