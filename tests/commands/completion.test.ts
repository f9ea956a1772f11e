import { describe, expect, test } from "bun:test";
import { runCli } from "./run-cli.ts";

/** What bash would offer for a line, whose last word is being typed. */
async function offersInBash(...words: string[]): Promise<string[]> {
  const { stdout: script } = await runCli(["completion", "bash"]);
  const quoted = ["microview", ...words].map((word) => `'${word}'`).join(" ");
  const bash = Bun.spawnSync([
    "bash",
    "-c",
    `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _microview; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ]);
  expect(bash.stderr.toString()).toBe("");
  return bash.stdout.toString().split("\n").filter(Boolean);
}

/** Checks the syntax with the shell itself, where it is installed. */
async function expectSyntax(shell: string): Promise<void> {
  const { exitCode, stdout } = await runCli(["completion", shell]);
  expect(exitCode).toBe(0);
  const check = Bun.spawnSync([shell, "-n"], { stdin: Buffer.from(stdout) });
  expect(check.stderr.toString()).toBe("");
  expect(check.exitCode).toBe(0);
}

describe("completion", () => {
  test("bash parses its script", () => expectSyntax("bash"));
  test.skipIf(Bun.which("zsh") === null)("zsh parses its script", () => expectSyntax("zsh"));
  test.skipIf(Bun.which("fish") === null)("fish parses its script", () => expectSyntax("fish"));

  test.each(["bash", "zsh", "fish"])(
    "for %s knows commands and flags, but no hidden ones",
    async (shell) => {
      const { stdout } = await runCli(["completion", shell]);
      for (const word of ["collect", "inspect", "max-series-per-metric", "prometheus"]) {
        expect(stdout).toContain(word);
      }
      expect(stdout).not.toContain("demo-service");
    },
  );

  test("bash offers commands that begin with what was typed", async () => {
    expect(await offersInBash("co")).toEqual(["collect", "completion"]);
  });

  test("bash offers the flags of the command", async () => {
    expect(await offersInBash("collect", "--per")).toEqual(["--per-writer"]);
  });

  test("bash offers the words that a flag takes", async () => {
    expect(await offersInBash("agent", "--strategy", "pa")).toEqual(["page", "packed"]);
  });

  test("bash offers the words that a command takes", async () => {
    expect(await offersInBash("completion", "")).toEqual(["bash", "zsh", "fish"]);
  });
});
