import { describe, expect, test } from "bun:test";
import packageJson from "../../package.json" with { type: "json" };
import { visibleCommands } from "../../src/command-line/catalogue.ts";
import { flagName } from "../../src/command-line/flags.ts";
import { loadSubcommand } from "../../src/commands/index.ts";
import { runCli } from "./run-cli.ts";

describe("microview", () => {
  test("--version prints the package's version and nothing else", async () => {
    expect(await runCli(["--version"])).toEqual({
      exitCode: 0,
      stdout: `${packageJson.version}\n`,
      stderr: "",
    });
  });

  test("without a command shows the help on stderr and exits 2", async () => {
    const { exitCode, stdout, stderr } = await runCli([]);
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain("microview <command>");
  });

  test("--help names every command but the hidden ones", async () => {
    const { exitCode, stdout } = await runCli(["--help"]);
    expect(exitCode).toBe(0);
    for (const name of visibleCommands()) expect(stdout).toMatch(new RegExp(`^  ${name} `, "m"));
    expect(stdout).not.toContain("demo-service");
  });

  test("an unknown command exits 2 and names the nearest", async () => {
    expect(await runCli(["colect"])).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: "microview: unknown command 'colect'\nhint: did you mean collect?\n",
    });
  });

  test("an unknown flag before the command exits 2", async () => {
    const { exitCode, stderr } = await runCli(["--versoin"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("did you mean --version?");
  });

  test("words that every object inherits are no commands", async () => {
    expect((await runCli(["constructor"])).exitCode).toBe(2);
  });

  test("a command that is given wrong arguments exits 2 and prints nothing on stdout", async () => {
    expect(await runCli(["completion", "tcsh"])).toMatchObject({ exitCode: 2, stdout: "" });
  });
});

describe.each(visibleCommands())("microview %s", (name) => {
  test("--help shows examples and every flag", async () => {
    const { details } = await loadSubcommand(name);
    const { exitCode, stdout } = await runCli([name, "--help"]);
    expect(exitCode).toBe(0);
    expect(stdout.split("Examples\n")[1]).toContain(`microview ${name}`);
    for (const key of Object.keys(details.flags)) expect(stdout).toContain(`  ${flagName(key)}`);
    expect(await runCli(["help", name])).toMatchObject({ exitCode: 0, stdout });
  });

  test("its help fits 100 columns but for examples", async () => {
    const { stdout } = await runCli([name, "--help"]);
    const [text = ""] = stdout.split("Examples\n");
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });

  test("an unknown flag exits 2 and names the nearest", async () => {
    const { exitCode, stdout, stderr } = await runCli([name, "--halp"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toBe("microview: unknown flag --halp\nhint: did you mean --help?\n");
  });

  test("its defaults are values that it accepts itself", async () => {
    const { details } = await loadSubcommand(name);
    for (const [key, flag] of Object.entries(details.flags)) {
      expect(() => flag.read([], flagName(key))).not.toThrow();
    }
  });

  test("its examples are commands that it understands", async () => {
    const { parseStrictly } = await import("../../src/command-line/parse.ts");
    const { details } = await loadSubcommand(name);
    for (const { command } of details.examples) {
      const line = command.replace(/^source <\((.*)\)$/, "$1");
      // As a shell takes them, up to where it redirects.
      const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|\S+/g)].map(
        ([word, double, single]) => double ?? single ?? word,
      );
      const end = words.indexOf(">");
      expect(words.slice(0, 2)).toEqual(["microview", name]);
      const rawArgs = words.slice(2, end < 0 ? undefined : end);
      expect(() => parseStrictly(rawArgs, details)).not.toThrow();
    }
  });
});
