import { describe, expect, test } from "bun:test";
import { relative } from "node:path";
import { styleFor } from "../../src/command-line/style.ts";
import { findingsText } from "../../src/commands/doctor.ts";
import type { Finding } from "../../src/doctor/index.ts";
import { addShop, PoolDirectory } from "../inspector/pools.ts";
import { Scratch } from "../support/pools.ts";
import { runCli } from "./run-cli.ts";

const scratch = new Scratch();
const plain = styleFor({ isTTY: false }, {});

/** A socket and a port that nobody serves, so that the host's own agent does not matter. */
function doctor(...args: string[]) {
  return runCli(["doctor", "--socket", scratch.path(), "--port", "1", ...args]);
}

describe("microview doctor", () => {
  test("says for each check how it stands, and what to do where it does not", async () => {
    const directory = new PoolDirectory(scratch);
    addShop(directory);
    const { exitCode, stdout, stderr } = await doctor("--pool-dir", directory.path);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toMatch(/^ {2}ok {4}native part {4,}loads/m);
    expect(stdout).toMatch(/^ {2}ok {4}pools +1 of layout 2: shop$/m);
    expect(stdout).toMatch(
      /^ {2}warn {2}agent's socket +there is no .*\n +→ start one: `microview agent`/m,
    );
    expect(stdout).toMatch(/microview can do its work here: \d+ ok, \d+ warnings?, 0 failures\n$/);
  });

  test("exits 1 when the core cannot work", async () => {
    const { exitCode, stdout } = await doctor("--pool-dir", scratch.path());
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^ {2}fail {2}shared memory +.* is not there$/m);
    expect(stdout).toContain("microview cannot do its work here");
  });

  test("fails for a pool directory that is a file, also by a relative path", async () => {
    const path = relative(process.cwd(), import.meta.path);
    const { exitCode, stdout } = await doctor("--pool-dir", path);
    expect(exitCode).toBe(1);
    expect(stdout).toContain(`${import.meta.path} is no directory`);
  });

  test("prints the same for programs", async () => {
    const { exitCode, stdout } = await doctor("--json", "--pool-dir", scratch.path());
    expect(exitCode).toBe(1);
    const { version, ok, findings } = JSON.parse(stdout);
    expect({ version, ok }).toEqual({ version: expect.stringMatching(/^\d/), ok: false });
    expect(findings.find(({ id }: Finding) => id === "shared-memory")).toEqual({
      id: "shared-memory",
      title: "shared memory",
      need: "core",
      level: "fail",
      finding: expect.stringContaining("is not there"),
      advice: expect.stringContaining("--pool-dir"),
    });
  });
});

describe("the text of findings", () => {
  const finding = (need: Finding["need"], level: Finding["level"], title: string): Finding => ({
    id: title,
    title,
    need,
    level,
    finding: `about ${title}`,
    ...(level === "ok" ? {} : { advice: "do this" }),
  });

  test("is grouped by what it is needed for, in columns", () => {
    const text = findingsText(
      [
        finding("core", "ok", "kernel"),
        finding("rdma", "warn", "devices"),
        finding("core", "fail", "memory"),
      ],
      plain,
    );
    expect(text.split("\n")).toEqual([
      "microview",
      "  ok    kernel   about kernel",
      "  fail  memory   about memory",
      "                 → do this",
      "",
      "RDMA",
      "  warn  devices  about devices",
      "                 → do this",
      "",
      "microview cannot do its work here: 1 ok, 1 warning, 1 failure",
      "",
    ]);
  });
});
