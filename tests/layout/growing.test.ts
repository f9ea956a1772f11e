// A pool of one version before or after is read; what this version does not know is left out, and not what stands beside.

import { describe, expect, test } from "bun:test";
import { LAYOUT_VERSION, SKIPPABLE_RECORDS, skippedRecords } from "../../src/layout/index.ts";
import { ANOTHER, fixture, type Growth, grown, HINT } from "../support/grown.ts";
import { readImage, totals } from "../support/pools.ts";

const { bytes, read } = fixture(LAYOUT_VERSION);

test.each([
  ["the version before", LAYOUT_VERSION - 1],
  ["this version, written once and kept,", LAYOUT_VERSION],
])("a pool of %s is read whole", (_, version) => {
  const { bytes, read } = fixture(version);
  const image = readImage(bytes);
  expect(image.header).toMatchObject({ version, compatible: 0, incompatible: 0 });
  expect(image.header).toMatchObject({ app: read.app, poolId: read.poolId });
  expect([...image.directory.services.values()]).toEqual(read.services);
  expect([...image.directory.writers.values()]).toMatchObject(read.writers);
  expect(totals(image)).toEqual(read.totals);
  expect(image.directory.damage).toEqual([]);
  expect(skippedRecords(image.directory)).toBeUndefined();
});

test("of a pool of the version after, records that may be skipped are left out, and said", () => {
  const growth = { version: LAYOUT_VERSION + 1, compatible: 0x8000_0001 };
  const image = readImage(grown(bytes, { ...growth, records: [HINT, ANOTHER, HINT] }));
  expect(image.header).toMatchObject(growth);
  expect(image.directory.damage).toEqual([]);
  expect(totals(image)).toEqual(read.totals);
  expect(skippedRecords(image.directory)).toContain("2 of type 0xf000, 1 of type 0xf011");
});

test("however many types of records are left out, what is said of them is short", () => {
  const records = Array.from({ length: 1_000 }, (_, i) => HINT + i);
  const { directory } = readImage(grown(bytes, { records }));
  expect(directory.skipped.size).toBe(1_000);
  const said = skippedRecords(directory)!;
  expect(said).toEndWith(", 1 of type 0xf007 and 992 more types");
  expect(said.length).toBeLessThan(300);
});

test("a record that may not be skipped is damage", () => {
  const { directory } = readImage(grown(bytes, { records: [SKIPPABLE_RECORDS - 1] }));
  expect(directory.damage[0]?.reason).toBe("a record of the unknown type 127");
});

test("a record that may be skipped and has a wrong checksum is damage", () => {
  const image = grown(bytes, { records: [HINT] });
  const { header, state } = readImage(image);
  image[
    header.directoryOffset + (state.epoch % 2) * header.directoryCapacity + state.directoryBytes - 1
  ]! ^= 1;
  const { directory } = readImage(image);
  expect(directory.damage[0]?.reason).toContain("checksum");
  expect(directory.skipped.size).toBe(0);
});

describe("a pool is refused, with the reason,", () => {
  const refused: [string, Growth, string][] = [
    [
      "of two versions after",
      { version: LAYOUT_VERSION + 2 },
      "has layout version 4, this microview reads versions 1 to 3",
    ],
    ["of two versions before", { version: LAYOUT_VERSION - 2 }, "has layout version 0"],
    [
      "whose features one must know",
      { incompatible: 0x8000_0004 },
      "features that this microview does not know (0x80000004)",
    ],
  ];
  test.each(refused)("%s", (_, growth, message) => {
    expect(() => readImage(grown(bytes, growth))).toThrow(message);
  });
});
