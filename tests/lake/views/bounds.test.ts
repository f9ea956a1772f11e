// Bounds of columns hold for every row of a file, also where they are cut.

import { expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { greatestText, leastText } from "../../../src/lake/views/bounds.ts";
import { patience } from "../../support/speed.ts";
import { SmallLake } from "../maintenance/small-lake.ts";
import { makeBlock, T0 } from "./blocks.ts";

// DuckDB is loaded first, in several threads.
setDefaultTimeout(patience(60_000));

const order = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

test("bounds of texts are short, and hold in the order of UTF-8", () => {
  const text = fc.string({ unit: "binary", minLength: 0, maxLength: 200 });
  fc.assert(
    fc.property(text, (given) => {
      const least = leastText(given)!;
      const greatest = greatestText(given);
      expect(order(least, given)).toBeLessThanOrEqual(0);
      expect(least.length).toBeLessThanOrEqual(64);
      if (greatest === undefined) return;
      expect(order(greatest, given)).toBeGreaterThanOrEqual(0);
      expect(greatest.length).toBeLessThanOrEqual(65);
    }),
  );
});

test("a text is cut between its characters, and one that nothing short exceeds has no upper bound", () => {
  expect(leastText(`${"a".repeat(63)}😀b`)).toBe("a".repeat(63));
  expect(greatestText(`${"a".repeat(63)}😀b`)).toBe(`${"a".repeat(62)}b`);
  expect(greatestText(`${"\ud7ff".repeat(64)}b`)).toBe(`${"\ud7ff".repeat(63)}\ue000`);
  expect(greatestText(`b${"\u{10ffff}".repeat(40)}`)).toBe("c");
  expect(greatestText("\u{10ffff}".repeat(40))).toBeUndefined();
});

test("a file's bounds are known by field id, and a long message has them too", async () => {
  await using lake = await SmallLake.open();
  const long = "m".repeat(1_000);
  await lake.add([makeBlock({ logs: [{ message: "hello" }, { timeNs: T0 + 5n, message: long }] })]);
  await lake.materializer.round();
  const [{ bounds, schemaId } = {}] = await lake.catalogue.livePartitions("log_entries");
  expect(bounds?.["2"]).toEqual({ min: String(T0), max: String(T0 + 5n), nulls: 0 });
  expect(bounds?.["13"]).toEqual({ min: "hello", max: `${"m".repeat(63)}n`, nulls: 0 });
  expect(schemaId).toBe(1);
  const [schema] = await lake.catalogue
    .read`SELECT columns FROM schemas WHERE view_name = 'log_entries' AND schema_id = 1`;
  expect(JSON.parse(String(schema!["columns"]))).toContainEqual({
    ...{ id: 2, name: "time_ns", type: "BIGINT" },
  });
});
