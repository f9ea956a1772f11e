// What fails at every look is one line, and not one each time.

import { describe, expect, test } from "bun:test";
import { CallError, createLog, Recurring } from "../../src/guard/index.ts";

function watched() {
  const lines: Record<string, unknown>[] = [];
  const log = createLog("debug", true, (line) => {
    const { time: _, ...rest } = JSON.parse(line);
    lines.push(rest);
  });
  return { lines, it: new Recurring(log, "it failed", "it works again") };
}

describe("what fails again and again", () => {
  test("is said when it begins and when it has ended, with how often it was", () => {
    const { lines, it } = watched();
    let isBroken = true;
    const run = () => {
      if (isBroken) throw new Error("no room");
    };
    for (let i = 0; i < 1000; i++) it.attempt("shop", run, { app: "shop" });
    isBroken = false;
    for (let i = 0; i < 1000; i++) it.attempt("shop", run, { app: "shop" });
    expect(lines).toEqual([
      { level: "error", message: "it failed", app: "shop", reason: "no room" },
      { level: "info", message: "it works again", app: "shop", was: "no room", times: 1000 },
    ]);
  });

  test("is logged again when the reason changes", () => {
    const { lines, it } = watched();
    for (const reason of ["a", "a", "a", "b", "b"]) it.failed("", reason);
    expect(lines.map(({ reason, before, times }) => [reason, before, times])).toEqual([
      ["a", undefined, undefined],
      ["b", "a", 3],
    ]);
  });

  test("is the same reason when only its numbers differ, if the caller gives it one identity", () => {
    const { lines, it } = watched();
    for (let i = 0; i < 100; i++) it.failed("auth", `no room for ${i} bytes`, {}, "memory-full");
    expect(lines).toHaveLength(1);
  });

  test("is the same reason when a limit is reached with other numbers", () => {
    const { lines, it } = watched();
    for (let bytes = 0; bytes < 100; bytes++) {
      it.attempt("", () => {
        throw new CallError("memory-full", `no room for ${bytes} bytes`, "make room", 507);
      });
    }
    expect(lines).toHaveLength(1);
  });

  test("fails for each thing by itself, and for a bounded number of them", () => {
    const { lines, it } = watched();
    for (let i = 0; i < 100_000; i++) it.failed(`app-${i % 20_000}`, "no");
    expect(lines.length).toBe(1_000);
    it.worked("app-0");
    it.worked("app-19999");
    expect(lines.length).toBe(1_001);
  });

  test("is no reason for others to fail, whatever is thrown", () => {
    const { lines, it } = watched();
    for (const thrown of [undefined, null, "text", 7, new Error("x")]) {
      it.attempt(String(thrown), () => {
        throw thrown;
      });
    }
    expect(lines.map(({ reason }) => reason)).toEqual(["undefined", "null", "text", "7", "x"]);
  });
});
