import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Column, Row } from "../../src/explore/lake/answer-lines.ts";
import { jsonRows } from "../../src/explore/output/json-rows.ts";
import { TableText } from "../../src/explore/output/table.ts";
import { PLAIN } from "../../src/text/index.ts";

function columns(types: Readonly<Record<string, string>>): Column[] {
  return Object.entries(types).map(([name, type]) => ({ name, type }));
}

function table(header: readonly Column[], rows: readonly Row[], room?: number): string[] {
  const text = new TableText(header, { style: PLAIN, columns: room });
  return (text.rows(rows) + text.end()).split("\n").slice(0, -1);
}

describe("a table", () => {
  test("has numbers at the right, text at the left, and is as wide as what is in it", () => {
    const header = columns({ level: "VARCHAR", count: "BIGINT", share: "DOUBLE" });
    const rows = [
      ["info", 12345, 0.1 + 0.2],
      ["warn", 7, null],
    ];
    expect(table(header, rows)).toEqual([
      "level  count  share",
      "─────  ─────  ─────",
      "info   12345    0.3",
      "warn       7   null",
    ]);
  });

  test("shows null apart from the text null", () => {
    const style = { ...PLAIN, dim: (text: string) => `<${text}>` };
    const text = new TableText(columns({ a: "VARCHAR" }), { style });
    const lines = (text.rows([[null], ["null"]]) + text.end()).split("\n");
    expect(lines.slice(2, 4)).toEqual(["<null>", "null"]);
  });

  test("counts wide characters as the terminal does", () => {
    const header = columns({ a: "VARCHAR", b: "VARCHAR" });
    expect(
      table(header, [
        ["漢字", "x"],
        ["ab", "y"],
      ]),
    ).toEqual(["a     b", "────  ─", "漢字  x", "ab    y"]);
  });

  test("shows maps and lists of any make in one line", () => {
    const header = columns({ p: "MAP(VARCHAR, VARCHAR)", l: "INTEGER[]" });
    const rows = [
      [{ user: "7", route: "/" }, [1, 2]],
      [[{ key: "user", value: "7" }], []],
    ];
    expect(table(header, rows).slice(2)).toEqual([
      "{user: 7, route: /}  [1, 2]",
      "{user: 7}            []",
    ]);
  });

  test("takes from the widest column what the terminal has no room for", () => {
    const header = columns({ level: "VARCHAR", message: "VARCHAR" });
    const lines = table(header, [["info", "x".repeat(100)]], 30);
    expect(lines[2]).toBe(`info   ${"x".repeat(22)}…`);
  });

  test("of more columns than the terminal has room for is a line per value", () => {
    const names = Object.fromEntries(
      Array.from({ length: 9 }, (_, i) => [`column_${i}`, "VARCHAR"]),
    );
    const lines = table(columns(names), [Array(9).fill("value of it")], 40);
    expect(lines[0]).toStartWith("── row 1 ─");
    expect(lines.slice(1)).toEqual(Array.from({ length: 9 }, (_, i) => `column_${i}  value of it`));
  });

  test("has its head if there are no rows", () => {
    expect(table(columns({ a: "BIGINT" }), [])).toEqual(["a", "─"]);
  });

  test("never has a line that is wider than the terminal, nor a byte that is an order to it", () => {
    const value = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.double(),
      fc.constant(null),
      fc.object(),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 20, max: 120 }),
        fc
          .integer({ min: 1, max: 12 })
          .chain((width) =>
            fc.tuple(
              fc.array(fc.string({ unit: "binary" }), { minLength: width, maxLength: width }),
              fc.array(fc.array(value, { minLength: width, maxLength: width }), { maxLength: 5 }),
            ),
          ),
        (room, [names, rows]) => {
          const header = names.map((name) => ({ name, type: "VARCHAR" }));
          for (const line of table(header, rows, room)) {
            expect(Bun.stringWidth(line)).toBeLessThanOrEqual(room);
            expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
          }
        },
      ),
    );
  });

  test("of many rows is shown as it comes", () => {
    const text = new TableText(columns({ n: "BIGINT" }), { style: PLAIN });
    expect(text.rows(Array.from({ length: 999 }, (_, i) => [i]))).toBe("");
    expect(text.rows([[1], [2]]).split("\n")).toHaveLength(2 + 1001 + 1);
    expect(text.rows([[123456789]])).toBe("12…\n");
    expect(text.end()).toBe("");
  });
});

describe("rows as NDJSON", () => {
  test("are objects with the names of the columns, long integers and all", () => {
    const json = jsonRows(columns({ ns: "BIGINT", "a b": "VARCHAR" }));
    expect(
      json([
        [1769860800123456789n, "x"],
        [1, null],
      ]),
    ).toBe('{"ns":"1769860800123456789","a b":"x"}\n{"ns":1,"a b":null}\n');
  });

  test("tell columns of the same name apart", () => {
    const json = jsonRows([...columns({ a: "BIGINT" }), ...columns({ a: "BIGINT" })]);
    expect(json([[1, 2]])).toBe('{"a":1,"a_2":2}\n');
  });
});
