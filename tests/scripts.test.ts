// That `make test` comes to its end and says how it went, whatever hangs, and that it tells what failed and why.

import { describe, expect, test } from "bun:test";
import { readFileSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runBounded } from "../scripts/bounded.ts";
import { casesIn, count } from "../scripts/junit.ts";
import { printedFor, shortened, straysIn } from "../scripts/output.ts";
import { ROOT } from "./support/host.ts";
import type { Told } from "./support/suite.ts";
import { until } from "./support/wait.ts";

test("a command that hangs is ended with all that it has started", async () => {
  const mark = `98.${process.pid}`;
  const command = ["sh", "-c", `echo begun; sleep ${mark} & sleep ${mark}; echo never`];
  const { exitCode, output, how } = await runBounded(command, { shows: false, limitMs: 500 });
  expect(exitCode).not.toBe(0);
  expect(output).toBe("begun\n");
  expect(how).toBe("it did not end within 1 s");
  await until("nothing of it is left", () => {
    const { stdout } = Bun.spawnSync(["ps", "-eo", "args"]);
    return !stdout.toString().includes(`sleep ${mark}`);
  });
});

test("what a command leaves running in the background does not keep its end", async () => {
  const mark = `97.${process.pid}`;
  const { exitCode, output, how } = await runBounded(["sh", "-c", `sleep ${mark} & echo done $!`], {
    ...{ shows: false, limitMs: 60_000 },
  });
  process.kill(Number(output.trim().split(" ")[1]), "SIGKILL");
  expect({ exitCode, how }).toEqual({ exitCode: 0, how: undefined });
});

test("what a command prints comes behind what a file has already", async () => {
  const path = join(tmpdir(), `microview-shown-${process.pid}`);
  const module = JSON.stringify(join(ROOT, "scripts/bounded.ts"));
  const program = `
    const { runBounded } = await import(${module});
    console.log("before");
    const command = ["sh", "-c", "echo one; sleep 0.3; echo two"];
    await runBounded(command, { shows: true, limitMs: 60_000 });
    console.log("after");`;
  try {
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: Bun.file(path) });
    expect(await child.exited).toBe(0);
    expect(readFileSync(path, "utf8")).toBe("before\none\ntwo\nafter\n");
  } finally {
    rmSync(path, { force: true });
  }
});

test("a signal ends `make test` with its closing line", async () => {
  const child = Bun.spawn([process.execPath, join(ROOT, "scripts/test.ts"), "tests/no-such-test"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    env: { ...process.env, MICROVIEW_SKIP_VM: "1" },
  });
  const reader = child.stdout.getReader();
  let text = "";
  // The first check has been made, and others go on.
  while (!text.includes("\n")) text += new TextDecoder().decode((await reader.read()).value);
  child.kill("SIGTERM");
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += new TextDecoder().decode(part.value);
  }
  expect(await child.exited).toBe(1);
  expect(text).toMatch(
    /\n✗ ended by SIGTERM\n\nfailed: ended by SIGTERM\n\n\d+ passed, 1 failed\n$/,
  );
});

describe("a report", () => {
  const report = `<?xml version="1.0"?><testsuites tests="5" failures="2" skipped="1">
    <testsuite name="tests/a.test.ts"><testsuite name="a &gt; b">
      <testcase name="x => y" time="0.1" file="tests/a.test.ts" />
      <testcase name="two" file="tests/a.test.ts"><failure type="AssertionError" message="was &lt;2&gt;" /></testcase>
    </testsuite><testsuite name="c"/>
      <testcase name="three" file="tests/a.test.ts"><skipped /></testcase>
      <testcase name="four" file="tests/a.test.ts">
      </testcase>
      <testcase name="five" file="tests/a.test.ts"><failure message="&lt;skipped&gt;">Error: &quot;5&quot; &amp;&#10;  at&#x20;a</failure></testcase>
    </testsuite></testsuites>`;

  test("has its passed, failed and skipped cases counted", () => {
    expect(count(casesIn(report))).toEqual({ passed: 2, failed: 2, skipped: 1 });
  });

  test("tells each case's file, name with its groups, and error", () => {
    const file = "tests/a.test.ts";
    expect(casesIn(report)).toEqual([
      { file, name: "a > b > x => y", state: "passed", error: "" },
      { file, name: "a > b > two", state: "failed", error: "was <2>" },
      { file, name: "three", state: "skipped", error: "" },
      { file, name: "four", state: "passed", error: "" },
      { file, name: "five", state: "failed", error: 'Error: "5" &\n  at a' },
    ]);
  });
});

describe("the output", () => {
  const output = [
    "tests/a.test.ts:",
    "(pass) group > first [0.10ms]",
    "a server's complaint",
    "(fail) group > second [51.51ms]",
    "  ^ this test timed out after 50ms.",
    "(fail) group > third",
    "",
    "tests/b.test.ts:",
    "",
    "# Unhandled error between tests",
    "-------------------------------",
    "error: Cannot find module './c.ts'",
    "-------------------------------",
    "",
    "error: of another file",
    "(fail) group > second [0.10ms]",
    "",
    " 1 pass",
    " 4 fail",
    " 1 error",
    "Ran 4 tests across 2 files. [90.00ms]",
  ];

  test.each([
    ["of bun", output.join("\n")],
    ["of a machine's console", output.join("\r\n")],
    ["of a machine of a pair", output.map((line) => `two | ${line}`).join("\n")],
  ])("%s holds what was printed for a test, and errors between tests", (_, text) => {
    const plain = (found: string): string => found.replaceAll(/^two \| |\r/gm, "");
    expect(plain(printedFor(text, "tests/a.test.ts", "group > second"))).toBe(
      "a server's complaint\n  ^ this test timed out after 50ms.",
    );
    expect(printedFor(text, "tests/a.test.ts", "group > third")).toBe("");
    expect(plain(printedFor(text, "tests/b.test.ts", "group > second"))).toEndWith(
      "error: of another file",
    );
    expect(straysIn(text).map(({ file, error }) => ({ file, error: plain(error) }))).toEqual([
      { file: "tests/b.test.ts", error: "error: Cannot find module './c.ts'" },
    ]);
  });

  test("that only looks as if there were an error between tests has none", () => {
    expect(straysIn(output.filter((line) => line !== " 1 error").join("\n"))).toEqual([]);
  });

  test("that is long is shortened to its first and last lines", () => {
    const lines = Array.from({ length: 50 }, (_, index) => `line ${index}`);
    expect(shortened(lines.join("\n"), 8)).toBe(
      [...lines.slice(0, 5), "… (43 more lines)", ...lines.slice(48)].join("\n"),
    );
    expect(shortened("12345", 1, 3)).toBe("123… (2 more characters)");
    expect(shortened(lines.join("\n"), 50)).toBe(lines.join("\n"));
  });
});

/** Runs test files as `make test` does, in a process of its own: what they print is no output of these tests. */
async function told(files: Readonly<Record<string, string>>, ...flags: string[]): Promise<Told> {
  const folder = await mkdtemp(join(tmpdir(), "microview-scripts-"));
  try {
    for (const [name, text] of Object.entries(files)) {
      const imports = 'import { describe, expect, test } from "bun:test";\n';
      await Bun.write(join(folder, name), imports + text);
    }
    const program = join(ROOT, "tests/support/suite.ts");
    const child = Bun.spawn([process.execPath, program, folder, ...flags], {
      ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    });
    const [shown, complaints] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect({ exitCode: await child.exited, complaints }).toEqual({ exitCode: 0, complaints: "" });
    return { ...(await Bun.file(join(folder, "told.json")).json()), shown };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Fails the first time that it is run in a folder. */
const ONCE = `
  import { existsSync, writeFileSync } from "node:fs";
  function once(what: string): void {
    const mark = import.meta.path + "." + what;
    const isFirst = !existsSync(mark);
    writeFileSync(mark, "");
    if (isFirst) throw new Error("not yet " + what);
  }`;

describe("a run of tests", () => {
  test("that pass tells nothing before the closing line", async () => {
    const { counts, failures, summary, shown } = await told({
      "a.test.ts": `test("one", () => {}); test.skip("two", () => {});`,
    });
    expect({ counts, failures, summary }).toEqual({
      counts: { passed: 1, failed: 0, skipped: 1 },
      failures: 0,
      summary: "",
    });
    expect(shown).toContain("(pass) one");
    expect(shown).not.toContain("again");
  });

  test("that fail twice ends with each test's error and its name", async () => {
    const { counts, failures, summary, shown } = await told({
      "a.test.ts": `
        describe("group", () => {
          test("compares", () => expect(1 + 1).toBe(3));
          test("hangs", async () => { console.log("asked"); await new Promise(() => {}); }, 20);
        });
        test("passes", () => {});`,
      "b.test.ts": `test("passes", () => {});`,
    });
    expect(counts).toEqual({ passed: 2, failed: 2, skipped: 0 });
    expect(failures).toBe(2);
    expect(shown.match(/^again, alone: .*$/gm)).toEqual(["again, alone: a.test.ts"]);
    expect(summary).toMatch(/^✗ a\.test\.ts > group > compares\n {4}.*toBe\(expected\)\n/);
    expect(summary).toContain("Expected: 3\n");
    expect(summary).toMatch(
      /✗ a\.test\.ts > group > hangs\n {4}asked\n.*this test timed out after 20ms/,
    );
    expect(summary).toEndWith(
      "\n\nfailed: a.test.ts > group > compares\nfailed: a.test.ts > group > hangs",
    );
  });

  test("of which one passes alone counts it as passed, and names it with its first error", async () => {
    const { counts, failures, summary } = await told({
      "a.test.ts": `${ONCE}
        test("comes late", () => once("here"));
        test("passes", () => {});`,
      "b.test.ts": `test("fails", () => expect(1).toBe(2));`,
    });
    expect({ counts, failures }).toEqual({
      ...{ counts: { passed: 2, failed: 1, skipped: 0 }, failures: 1 },
    });
    expect(summary).toMatch(/\n✗ a\.test\.ts > comes late\n {4}Error: not yet here\n/);
    expect(summary).toEndWith(
      "\n\nfailed: b.test.ts > fails\npassed only when run again alone: a.test.ts > comes late",
    );
  });

  test("counts a failure as one where the file fails with another test the second time", async () => {
    const { counts, summary } = await told({
      "a.test.ts": `${ONCE}
        test("comes late", () => once("here"));
        test("comes once", () => expect(() => once("twice")).toThrow());`,
    });
    expect(counts).toEqual({ passed: 1, failed: 1, skipped: 0 });
    expect(summary).toEndWith("\n\nfailed: a.test.ts > comes late");
  });

  test("counts a failure as one where the test is left out the second time", async () => {
    const { failures } = await told({
      "a.test.ts": `
        import { existsSync, writeFileSync } from "node:fs";
        const mark = import.meta.path + ".mark";
        test.skipIf(existsSync(mark))("fails", () => {
          writeFileSync(mark, "");
          throw new Error("first");
        });
        test("passes", () => {});`,
    });
    expect(failures).toBe(1);
  });

  test("counts a file that does not load, beside a test that passes alone", async () => {
    const { counts, failures, summary } = await told({
      "a.test.ts": `import "./missing.ts"; test("is never run", () => {});`,
      "b.test.ts": `${ONCE} test("comes late", () => once("here"));`,
    });
    expect(counts).toEqual({ passed: 1, failed: 0, skipped: 0 });
    expect(failures).toBe(1);
    expect(summary).toMatch(/^✗ a\.test\.ts > \(between tests\)\n.*Cannot find module/);
    expect(summary).toEndWith(
      "\n\nfailed: a.test.ts > (between tests)\npassed only when run again alone: b.test.ts > comes late",
    );
  });

  test("that crash ends with their last lines", async () => {
    const { counts, failures, summary } = await told({
      "a.test.ts": `
        test("fails", () => expect(1).toBe(2));
        test("crashes", () => { console.log("its last word"); process.kill(process.pid, "SIGKILL"); });`,
    });
    expect(counts).toEqual({ passed: 0, failed: 0, skipped: 0 });
    expect(failures).toBe(2);
    expect(summary).toContain(
      "bun ended with exit code 137: it was ended by SIGKILL. Its last lines:\n",
    );
    expect(summary).toContain("    its last word\n");
    expect(summary).toContain("\nfailed: a.test.ts > fails\n");
  });

  test("that fall over once, where they may, are all run again", async () => {
    const { counts, failures, shown, summary } = await told(
      {
        "a.test.ts": `${ONCE}
          test("fails", () => once("here"));
          test("crashes", () => {
            try { once("fallen"); } catch { process.kill(process.pid, "SIGKILL"); }
          });`,
        "b.test.ts": `test("passes", () => {});`,
      },
      "--may-fall-over",
    );
    expect({ counts, failures }).toEqual({
      ...{ counts: { passed: 3, failed: 0, skipped: 0 }, failures: 0 },
    });
    expect(shown.match(/^again, alone: .*$/gm)).toEqual(["again, alone: tests"]);
    expect(summary).toEndWith(
      "\npassed only when run again alone: a.test.ts > fails\npassed only when run again alone: tests",
    );
  });

  test("without any test is a failure", async () => {
    const { failures, summary } = await told({ "a.test.ts": `test.skip("one", () => {});` });
    expect(failures).toBe(1);
    expect(summary).toContain("no test was counted");
  });

  test.each([
    ["more than five tests", { "a.test.ts": 6 }],
    ["more than three files", { "a.test.ts": 1, "b.test.ts": 1, "c.test.ts": 1, "d.test.ts": 1 }],
  ])("with failures in %s runs nothing again", async (_, files) => {
    const { counts, shown } = await told(
      Object.fromEntries(
        Object.entries(files).map(([file, tests]) => [
          file,
          `${ONCE} for (let i = 0; i < ${tests}; i++) test("late " + i, () => once("here" + i));`,
        ]),
      ),
    );
    expect(counts.failed).toBeGreaterThan(3);
    expect(shown).toContain("not run again");
    expect(shown).not.toContain("again, alone");
  });

  test("with many failures tells the first ten in full, and names the others", async () => {
    const { summary } = await told({
      "a.test.ts": `for (let i = 0; i < 60; i++) test("no " + i, () => { throw new Error("a\\n".repeat(60)) });`,
    });
    expect(summary.match(/^✗ /gm)).toHaveLength(10);
    expect(summary.split("\n").length).toBeLessThan(10 * 42 + 42);
    expect(summary).toContain("… (20 more failed)\nfailed: a.test.ts > no 20\n");
    expect(summary).toEndWith("failed: a.test.ts > no 59");
  });
});
