import { describe, expect, test } from "bun:test";
import { caretLines } from "../../src/explore/sql/caret.ts";

describe("the place of an error in SQL", () => {
  test("is shown by a caret below its line", () => {
    expect(caretLines("select nmae from spans", 7)).toEqual(["select nmae from spans", "       ^"]);
  });

  test("is in the line of a text that has several", () => {
    expect(caretLines("select 1,\n  漢 x\nfrom y", 14)).toEqual([
      "line 2:   漢 x",
      "             ^",
    ]);
  });

  test("may be right behind the end, and nowhere else outside", () => {
    expect(caretLines("select", 6)).toEqual(["select", "      ^"]);
    expect(caretLines("select", 7)).toBeUndefined();
    expect(caretLines("select", undefined)).toBeUndefined();
  });

  test("in a long line is shown with what is around it", () => {
    const [line, caret] = caretLines(`select ${"a, ".repeat(200)}wrong from t`, 607)!;
    expect(line!.slice(caret!.length - 1)).toStartWith("wrong from t");
    expect(line!.length).toBeLessThan(110);
  });
});
