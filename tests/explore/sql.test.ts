import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { completeSql } from "../../src/explore/sql/completion.ts";
import { oneLine, statementsIn } from "../../src/explore/sql/statements.ts";
import { TABLES } from "../support/fake-lake.ts";

describe("statements of SQL", () => {
  test.each([
    ["select 1; select 2;", ["select 1", "select 2"], ""],
    ["select 1; select", ["select 1"], " select"],
    ["select ';' ;", ["select ';'"], ""],
    ["select 'it''s;", [], "select 'it''s;"],
    ['select "a;b";', ['select "a;b"'], ""],
    ["select 1 -- a; b\n;", ["select 1 -- a; b"], ""],
    ["select /* ; */ 1;", ["select /* ; */ 1"], ""],
    ["select $$;$$, $x$ $$; $x$;", ["select $$;$$, $x$ $$; $x$"], ""],
    [";; -- nothing\n;", [], ""],
    ["-- nothing\n", [], ""],
  ])("end at a semicolon that is no part of something else: %j", (text, complete, rest) => {
    expect(statementsIn(text)).toMatchObject({ complete, rest });
  });

  test("are found whole, whatever they are made of", () => {
    const part = fc.constantFrom("'a;''b'", '"c;"', "/* ; */ 1", "$$ ; $$", "-- ;\n 2", "x", "\n");
    fc.assert(
      fc.property(fc.array(fc.array(part, { minLength: 1 }), { minLength: 1 }), (list) => {
        const statements = list.map((parts) => `select ${parts.join(" , ")}`);
        const { complete, rest } = statementsIn(statements.map((each) => `${each}\n;`).join(""));
        expect(complete).toEqual(statements.map((each) => each.trim()));
        expect(rest).toBe("");
      }),
    );
  });

  test("of several lines become one, without their comments", () => {
    expect(oneLine("select 1 -- one\n  , '--' /* two\n */\nfrom t;\n")).toBe(
      "select 1 , '--' from t;",
    );
  });
});

describe("completion of SQL", () => {
  const offers = (before: string, after = "") => completeSql(before, TABLES, after).offers;

  test("offers tables behind FROM and JOIN", () => {
    expect(offers("select * from ")).toEqual(["log_entries", "spans"]);
    expect(offers("select * from spans join l")).toEqual(["log_entries"]);
  });

  test("offers columns of the tables that the statement names, behind the cursor too", () => {
    expect(offers("select * from spans where tr")).toEqual([
      "trace_id",
      "trim(",
      "try_cast(",
      "true",
    ]);
    expect(offers("select mes", " from spans")).toEqual([]);
    expect(offers("select mes", " from log_entries")).toEqual(["message"]);
  });

  test("offers columns of a table or its alias behind a dot", () => {
    expect(offers("select spans.d")).toEqual(["spans.duration_ms"]);
    expect(offers("select * from spans as s where s.")).toEqual(["s.trace_id", "s.duration_ms"]);
    expect(offers("select other. ", " from spans s")).toEqual([]);
    expect(offers("select * from log_entries l, spans s where s.d")).toEqual(["s.duration_ms"]);
    expect(offers("select l.", " from log_entries l, spans s")).toContain("l.message");
  });

  test("offers columns of an alias whose FROM comes behind the cursor, or is not typed yet", () => {
    expect(offers("select s.du", " from spans s")).toEqual(["s.duration_ms"]);
    expect(offers("select s.du")).toEqual(["s.duration_ms"]);
    expect(offers("select x.du", " from spans s")).toEqual([]);
  });

  test("offers keywords in the case in which one began, and functions", () => {
    expect(offers("sel")).toEqual(["select"]);
    expect(offers("SEL")).toEqual(["SELECT"]);
    expect(offers("select quantile_c")).toEqual(["quantile_cont("]);
  });

  test("offers nothing in a text, and knows nothing of statements before", () => {
    expect(offers("select 'sel")).toEqual([]);
    expect(offers("select 1 from spans; select mes")).toEqual(["message"]);
  });
});
