// The lines that refused calls leave.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Audit } from "../../src/guard/audit.ts";
import { createLog } from "../../src/guard/log.ts";
import type { LogLine } from "../support/host.ts";

describe("a call that is refused", () => {
  test("leaves so many lines at most, and the others are counted", () => {
    const lines: LogLine[] = [];
    const audit = new Audit(createLog("info", true, (line) => lines.push(JSON.parse(line))));
    const refusal = { transport: "rest", code: "denied", token: "nobody", peer: "::1" } as const;
    for (let i = 0; i < 1000; i++) audit.refused({ ...refusal, path: `/${i}` }, 50_000 + i / 100);
    audit.count(50_020);
    audit.count(50_030);
    expect(lines).toHaveLength(101);
    expect(lines.at(-1)).toMatchObject({ audit: "left-out", calls: 900 });
    audit.refused(refusal, 60_000);
    audit.count(70_000);
    expect(lines).toHaveLength(102);
  });

  test("shows hostile text as numbers, in lines for people too", () => {
    let text = "";
    let nowMs = 0;
    const audit = new Audit(
      createLog("info", false, (line) => {
        text += line;
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), (path, method) => {
        text = "";
        // So much later that no limit holds it back.
        nowMs += 1e6;
        audit.refused(
          { transport: "rest", code: "denied", token: "nobody", peer: "", path, method },
          nowMs,
        );
        expect(text).not.toBe("");
        expect(text.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
    );
  });
});
