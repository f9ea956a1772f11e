import { describe, expect, test } from "bun:test";
import { chmodSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { History, historyPath } from "../../src/explore/dialogue/history.ts";
import { TestHost } from "../support/host.ts";

describe("the history of the dialogue", () => {
  test("has the newest first, in a file for its user alone", async () => {
    await using host = new TestHost();
    const path = join(host.folder, "a/b/history");
    const history = new History(path);
    expect(history.load()).toEqual([]);
    history.add("select 1;");
    history.add("select 2;");
    expect(history.load()).toEqual(["select 2;", "select 1;"]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    chmodSync(path, 0o644);
    history.load();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("is bounded, and done without where it cannot be written", async () => {
    await using host = new TestHost();
    const path = join(host.folder, "history");
    writeFileSync(path, Array.from({ length: 2500 }, (_, i) => `select ${i};\n`).join(""));
    const statements = new History(path).load();
    expect([statements.length, statements[0]]).toEqual([1000, "select 2499;"]);
    expect(new History(path).load()).toEqual(statements);
    const none = new History("/proc/nowhere/history");
    none.add("select 1;");
    expect(none.load()).toEqual([]);
  });

  test("is where users' state is kept", () => {
    expect(historyPath({ HOME: "/home/a" })).toBe("/home/a/.local/state/microview/query-history");
    expect(historyPath({ HOME: "/home/a", XDG_STATE_HOME: "/s" })).toBe(
      "/s/microview/query-history",
    );
    expect(historyPath({})).toBeUndefined();
  });
});
