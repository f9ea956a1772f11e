// Arguments of a subcommand: unknown, repeated, missing and misspelt flags.

import { describe, expect, test } from "bun:test";
import { UsageError } from "../../src/command-line/errors.ts";
import * as flag from "../../src/command-line/flags.ts";
import { parseStrictly } from "../../src/command-line/parse.ts";

const flags = {
  app: flag.list({ description: "applications" }),
  interval: flag.duration({ description: "time", default: "1s", min: "1ms", max: "1h" }),
  dataPort: flag.port({ description: "a port", default: "7071" }),
  maxBody: flag.size({ description: "a size", min: "1KiB" }),
  strategy: flag.choice(["page", "packed", "slab"], { description: "a way", default: "page" }),
  json: flag.toggle({ description: "as JSON" }),
};

const operands = flag.list({ description: "targets" });

function parse(...rawArgs: string[]) {
  return parseStrictly(rawArgs, { flags, operands });
}

function complaint(...rawArgs: string[]): string {
  try {
    parse(...rawArgs);
  } catch (error) {
    if (error instanceof UsageError) return `${error.message}; ${error.hint ?? ""}`;
    throw error;
  }
  return "no error";
}

describe("strict parsing", () => {
  test("gives every flag its default", () => {
    expect(parse().options).toEqual({
      app: [],
      interval: 1000,
      dataPort: 7071,
      maxBody: undefined,
      strategy: "page",
      json: false,
    });
  });

  test("takes a value after a space or an equals sign", () => {
    expect(parse("--data-port", "1", "--interval=5ms").options).toMatchObject({
      dataPort: 1,
      interval: 5,
    });
  });

  test("collects a repeated flag and commas into one list", () => {
    expect(parse("--app", "a", "--app=b,c").options.app).toEqual(["a", "b", "c"]);
  });

  test("leaves operands in order, and everything after -- alone", () => {
    expect(parse("x", "--json", "y", "--", "--app").operands).toEqual(["x", "y", "--app"]);
  });

  test.each([
    [["--intreval", "1s"], "unknown flag --intreval; did you mean --interval?"],
    [["--dataPort", "1"], "unknown flag --dataPort; did you mean --data-port?"],
    [["--zebra"], "unknown flag --zebra; --help lists the flags"],
    [["-x"], "unknown flag -x; --help lists the flags"],
    [["--interval"], "--interval needs a value; write --interval DURATION"],
    [["--app", "--json"], "--app needs a value; write --app TEXT"],
    [["--app="], "--app is empty; "],
    [["--json=true"], "--json takes no value; write just --json"],
    [["--data-port", "1", "--data-port", "2"], "--data-port is given twice; it takes one value"],
    [["--data-port", "-5"], "--data-port is out of range: -5; use a whole number from 0 to 65535"],
    [["--interval", "10us"], "--interval is too short: 10us; the shortest is 1ms"],
    [["--interval", "2h"], "--interval is too long: 2h; the longest is 1h"],
    [["--max-body", "1B"], "--max-body is too small: 1B; the smallest is 1KiB"],
    [
      ["--strategy", "slap"],
      "--strategy cannot be 'slap'; did you mean slab? it is one of page, packed, slab",
    ],
  ])("%p: %s", (rawArgs, expected) => {
    expect(complaint(...rawArgs)).toBe(expected);
  });

  test("refuses an operand where none is taken", () => {
    expect(() => parseStrictly(["stray"], { flags })).toThrow("unexpected argument 'stray'");
  });

  test("takes a comment of SQL for an operand, and no flag", () => {
    const sql = flag.text({ description: "SQL" });
    for (const text of ["-- what goes wrong\nselect 1", "--\tone\nselect 1", "- 1"]) {
      expect(parseStrictly([text], { flags: {}, operands: sql }).operands).toBe(text);
    }
  });

  test("refuses a second operand where one is taken", () => {
    const one = flag.text({ description: "one" });
    expect(parseStrictly(["a"], { flags: {}, operands: one }).operands).toBe("a");
    expect(() => parseStrictly(["a", "b"], { flags: {}, operands: one })).toThrow("'b'");
  });

  test("names a required flag that is missing", () => {
    const required = { name: flag.required(flag.text({ description: "who" })) };
    expect(() => parseStrictly([], { flags: required })).toThrow("--name is missing");
  });
});
