// The agent's log: what comes from outside is in it, and is never more than text.

import { expect, test } from "bun:test";
import { createLog } from "../../src/guard/log.ts";

const HOSTILE = "no\n2026 info all is well\u001b[2J\u009b1m\u202e\u2028";

test("a line of the log is one line, whatever it says", () => {
  const lines: string[] = [];
  createLog("info", false, (line) => lines.push(line)).warn(HOSTILE, { reason: HOSTILE });
  expect(lines).toHaveLength(1);
  const [line] = lines;
  expect(line).toEndWith("\n");
  expect(line!.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  expect(line).toContain("no\\u{a}2026 info all is well\\u{1b}[2J");
});

test("as JSON it reads back as it was", () => {
  const lines: string[] = [];
  createLog("info", true, (line) => lines.push(line)).warn(HOSTILE, { reason: HOSTILE });
  expect(lines).toHaveLength(1);
  expect(lines[0]!.indexOf("\n")).toBe(lines[0]!.length - 1);
  expect(JSON.parse(lines[0]!)).toMatchObject({ message: HOSTILE, reason: HOSTILE });
});
