import { describe, expect, test } from "bun:test";
import { CliError, UsageError } from "../../src/command-line/errors.ts";
import { describeError } from "../../src/command-line/report.ts";
import { styleFor, wantsColour } from "../../src/command-line/style.ts";
import { runCli } from "./run-cli.ts";

const terminal = { isTTY: true };
const pipe = { isTTY: false };
const plain = styleFor(pipe, {});

describe("colour", () => {
  test.each([
    ["on a terminal", terminal, {}, true],
    ["into a pipe", pipe, {}, false],
    ["on a terminal with NO_COLOR", terminal, { NO_COLOR: "1" }, false],
    ["on a terminal with an empty NO_COLOR", terminal, { NO_COLOR: "" }, true],
    ["into a pipe with FORCE_COLOR", pipe, { FORCE_COLOR: "1" }, true],
    ["on a terminal with FORCE_COLOR=0", terminal, { FORCE_COLOR: "0" }, false],
    ["with NO_COLOR and FORCE_COLOR", terminal, { NO_COLOR: "1", FORCE_COLOR: "1" }, false],
    ["on a dumb terminal", terminal, { TERM: "dumb" }, false],
  ])("%s", (_name, stream, environment, expected) => {
    expect(wantsColour(stream, environment)).toBe(expected);
  });

  test("help is coloured when forced, and plain in a pipe", async () => {
    expect((await runCli(["--help"], { FORCE_COLOR: "1" })).stdout).toContain("\u001b[1m");
    expect((await runCli(["--help"])).stdout).not.toContain("\u001b");
  });
});

describe("an error", () => {
  test("of usage says what is wrong and what to do, and exits 2", () => {
    expect(describeError(new UsageError("unknown flag", "try another"), plain, {})).toEqual({
      text: "microview: unknown flag\nhint: try another\n",
      exitCode: 2,
    });
  });

  test("of a command exits 1 unless it says otherwise", () => {
    expect(describeError(new CliError({ message: "no agent" }), plain, {})).toEqual({
      text: "microview: no agent\n",
      exitCode: 1,
    });
    expect(describeError(new CliError({ message: "x", exitCode: 3 }), plain, {}).exitCode).toBe(3);
  });

  test("that nobody threw on purpose shows its stack only when asked", () => {
    const defect = new TypeError("oops");
    expect(describeError(defect, plain, {}).text).not.toContain("output.test.ts");
    expect(describeError(defect, plain, { MICROVIEW_DEBUG: "1" }).text).toContain("output.test.ts");
    expect(describeError(defect, plain, {}).exitCode).toBe(1);
  });
});

test("a reader that closes the pipe ends the program quietly", () => {
  const cli = `${import.meta.dir}/../../src/cli.ts`;
  // `true` reads nothing and may be gone before the program writes.
  const shell = Bun.spawnSync([
    "bash",
    "-c",
    `"$0" "$1" completion bash | true; echo "\${PIPESTATUS[0]}"`,
    process.execPath,
    cli,
  ]);
  expect(shell.stderr.toString()).toBe("");
  expect(shell.stdout.toString()).toBe("141\n");
});
