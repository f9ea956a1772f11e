// Properties as entries of a map: nothing is rounded, nothing is lost, and what is no JSON stands as it came.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { TextHeap } from "../../../src/duckdb/index.ts";
import { PropertyTexts } from "../../../src/lake/views/property-texts.ts";

/** A heap that remembers. */
class Remembering extends TextHeap {
  readonly texts: string[] = [];

  override add(text: string): number {
    const number = super.add(text);
    // The empty text is added before this class has its fields.
    if (this.texts !== undefined) this.texts[number] = text;
    return number;
  }
}

function entriesOf(...texts: readonly string[]): [string, string][][] {
  const heap = new Remembering();
  const properties = new PropertyTexts(heap);
  const textOf = (number: number) => heap.texts[number] ?? "";
  return texts.map((text) => {
    const map = properties.add(text);
    const { firsts, keys, values } = properties;
    const entries: [string, string][] = [];
    for (let i = firsts[map]!; i < firsts[map + 1]!; i++) {
      entries.push([textOf(keys[i]!), textOf(values[i]!)]);
    }
    return entries;
  });
}

test("a value is a text as it is, and a number as it was written", () => {
  const text = '{"user":"Ada", "id":12345678901234567890 , "share":1.50,"ok":true,"none":null}';
  expect(entriesOf(text)).toEqual([
    [
      ["user", "Ada"],
      ["id", "12345678901234567890"],
      ["share", "1.50"],
      ["ok", "true"],
      ["none", "null"],
    ],
  ]);
});

test("what is nested is JSON", () => {
  const nested = '{"a":[1,{"b":"}]"}],"c":{"d":"\\""}}';
  expect(entriesOf(nested)).toEqual([
    [
      ["a", '[1,{"b":"}]"}]'],
      ["c", '{"d":"\\""}'],
    ],
  ]);
});

test("a key comes once, and what is said of it last holds", () => {
  const many = Array.from({ length: 100 }, (_, i) => `"k${i}":${i}`).join(",");
  const [few, all] = entriesOf('{"a":1,"a":2}', `{${many},"k3":"last",${many}}`);
  expect(few).toEqual([["a", "2"]]);
  expect(all).toHaveLength(100);
  expect(all![3]).toEqual(["k3", "3"]);
});

test("what is no object stands as it came, and does not spoil the next", () => {
  const wrong = [
    "{",
    "[1]",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{"a":1}x',
    '{"a":"\\x"}',
    '{"a":{}',
    "1",
  ];
  const given = entriesOf(...wrong, '{"b":2}');
  expect(given.slice(0, -1)).toEqual(wrong.map((text) => [["microview.unparsed", text]]));
  expect(given.at(-1)).toEqual([["b", "2"]]);
});

test("whatever JSON.stringify makes of an object is read back", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), (object) => {
      const expected = Object.entries(JSON.parse(JSON.stringify(object)) as object).map(
        ([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)],
      );
      const [given] = entriesOf(JSON.stringify(object));
      expect(new Map(given)).toEqual(new Map(expected as [string, string][]));
    }),
  );
});
