// A directory finds its series by their label values, however many there are and however their texts end.

import { expect, test } from "bun:test";
import { ByteWriter } from "../../../src/layout/bytes.ts";
import { Directory, RecordWriter } from "../../../src/layout/index.ts";
import { define } from "../../support/pools.ts";

const SERIES = 20_000;

/** Of all lengths, so that keys end in all places of a word, and some begin as others are. */
function labelsOf(series: number): [string, string] {
  const text = `${series}${"x".repeat(series % 9)}`;
  return series % 2 === 0 ? [text, ""] : ["", text];
}

function keyOf(metric: number, labels: readonly string[]): Uint8Array {
  const key = new ByteWriter().u32(metric);
  for (const label of labels) key.text(label);
  return key.bytes();
}

function written(): RecordWriter {
  const records = new RecordWriter();
  records.service(1, "auth");
  for (const metric of [1, 2])
    records.metric(metric, 1, define.counter(`m${metric}_total`, ["a", "b"]));
  for (let id = 1; id <= SERIES; id++) records.series(id, 1 + (id % 2), labelsOf(id >>> 1));
  return records;
}

for (const isWhole of [true, false]) {
  const how = isWhole ? "at once" : "a record at a time";
  test(`each series is found by its labels, and no other is, in a log that is taken in ${how}`, () => {
    const log = written().bytes.bytes();
    const directory = new Directory(1, 64);
    const words = new DataView(log.buffer, log.byteOffset);
    for (let at = 0; at < log.length; ) {
      const end = isWhole ? log.length : at + words.getUint16(at + 2, true) * 8;
      directory.append(log.subarray(at, end));
      at = end;
    }
    expect(directory.damage).toEqual([]);
    for (let id = 1; id <= SERIES; id++) {
      const metric = 1 + (id % 2);
      const [a, b] = labelsOf(id >>> 1);
      expect(directory.seriesOf(keyOf(metric, [a, b]))).toBe(id);
      expect(directory.metricOf(id)?.id).toBe(metric);
      expect(directory.seriesOf(keyOf(metric, [`${a}y`, b]))).toBe(0);
      expect(directory.seriesOf(keyOf(3, [a, b]))).toBe(0);
    }
  });
}

test("a second series of the same labels is damage, whatever lies between", () => {
  const records = written();
  records.series(SERIES + 1, 1, labelsOf(SERIES / 2));
  const directory = new Directory(1, 64);
  directory.append(records.bytes.bytes());
  expect(directory.damage).toEqual([
    { offset: expect.any(Number), reason: "a series of m1_total whose labels another has" },
  ]);
});

test("however often series were looked for, others are taken in", () => {
  const directory = new Directory(1, 64);
  const label = "x".repeat(1000);
  const metric = define.counter("m_total", ["a"]);
  const records = new RecordWriter().service(1, "auth").metric(1, 1, metric);
  directory.append(records.series(1, 1, [label]).bytes.bytes());
  for (let i = 0; i < 10_000; i++) expect(directory.seriesOf(keyOf(1, [label]))).toBe(1);
  directory.append(new RecordWriter().series(2, 1, ["y"]).bytes.bytes());
  expect(directory.damage).toEqual([]);
  expect(directory.seriesOf(keyOf(1, ["y"]))).toBe(2);
});

test("label values that are chosen to hash alike are taken in like any others", () => {
  // A difference of the highest bits passes a multiplication as it is, and the next word can take it back.
  const PAIRS = 14;
  const valueFor = (bits: number) =>
    Array.from({ length: PAIRS }, (_, i) => ((bits >>> i) & 1 ? "aaaAa!aA" : "aaaaaaaa")).join("");
  const records = new RecordWriter().service(1, "auth");
  records.metric(1, 1, define.counter("m_total", ["a"]));
  // The first word of a key is its metric, and the length of a value takes half a word.
  for (let bits = 0; bits < 2 ** PAIRS; bits++)
    records.series(bits + 1, 1, [`ab${valueFor(bits)}`]);
  const directory = new Directory(1, 64);
  directory.append(records.bytes.bytes());
  expect(directory.damageCount).toBe(0);
});
