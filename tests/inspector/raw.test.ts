import { describe, expect, test } from "bun:test";
import {
  PoolFile,
  rawHeader,
  rawJournal,
  rawPages,
  rawRecords,
} from "../../src/inspector/index.ts";
import { LAYOUT_VERSION, PAGE_HEADER_BYTES } from "../../src/layout/index.ts";
import { Scratch } from "../support/pools.ts";
import { addShop, PoolDirectory } from "./pools.ts";

const scratch = new Scratch();
const ALL = { service: () => true, metric: () => true };

function shop() {
  const directory = new PoolDirectory(scratch);
  const { app } = addShop(directory);
  const file = PoolFile.open(directory.file("shop"));
  return { app, file, reading: file.read(), path: directory.file("shop") };
}

describe("the raw layout", () => {
  test("has every field of the header with its offset and bytes", () => {
    const { path } = shop();
    const fields = new Map(rawHeader(path).map((field) => [field.name, field]));
    expect(fields.get("magic")).toEqual({
      offset: 0,
      name: "magic",
      hex: "4d4943524f565700",
      value: '"MICROVW\\u0000"',
    });
    expect(fields.get("version")).toMatchObject({ offset: 8, value: String(LAYOUT_VERSION) });
    expect(fields.get("app")).toMatchObject({ hex: "73686f70", value: '"shop"' });
    expect(fields.get("agentPid")).toMatchObject({ value: String(process.pid) });
  });

  test("has as much of a header as a file that is no pool", () => {
    const path = scratch.image(new TextEncoder().encode("not a pool, and short"));
    expect(rawHeader(path).map(({ name }) => name)).toEqual([
      "magic",
      "version",
      "headerBytes",
      "pageBytes",
    ]);
  });

  test("has the journal's header", () => {
    const { file, app } = shop();
    expect(rawJournal(file)[0]).toMatchObject({
      offset: app.pool.header.journalOffset,
      name: "commit",
      value: "0 (nothing to redo)",
    });
  });

  test("has every record, one after the other", () => {
    const { file, reading, app } = shop();
    const records = [...rawRecords(file, reading)];
    let expected = app.pool.header.directoryOffset;
    for (const { offset, lengthBytes, checksum } of records) {
      expect(offset).toBe(expected);
      expect(checksum).toBe("ok");
      expected += lengthBytes;
    }
    expect(expected).toBe(app.pool.header.directoryOffset + app.directory.length);
    expect(records.map(({ type, text }) => `${type}: ${text}`)).toEqual(
      expect.arrayContaining([
        'service: service 1 "auth"',
        "metric: metric 1 of service 1: counter requests_total {path}",
        'series: series 1 of metric 1 ["/b"]',
        "grant: writer 1: page 0",
        "bind: writer 1: series 1 at page 0 slot 0",
      ]),
    );
  });

  test("marks records that are damaged", () => {
    const { app, path } = shop();
    const { header, mapping } = app.pool;
    mapping.bytes()[header.directoryOffset + 9]! ^= 1;
    const file = PoolFile.open(path);
    const [first] = rawRecords(file, file.read());
    expect(first).toMatchObject({ type: "service", checksum: "wrong" });
    expect(first?.text).toContain("DAMAGED: ");
  });

  test("ends where a length leads nowhere", () => {
    const { app, path } = shop();
    const { header, mapping } = app.pool;
    mapping.bytes().fill(0, header.directoryOffset + 2, header.directoryOffset + 4);
    const file = PoolFile.open(path);
    const records = [...rawRecords(file, file.read())];
    expect(records).toHaveLength(1);
    expect(records[0]?.checksum).toBe("wrong");
  });

  test("has each page with its holders and its bound slots", () => {
    const { file, reading, app } = shop();
    const [page] = rawPages(file, reading, ALL);
    const start = app.pool.header.pagesOffset;
    expect(page).toMatchObject({
      page: 0,
      offset: start,
      owners: ['writer 1 of "auth" (pid 42)'],
      // The third bucket of the histogram holds nothing.
      zeroSlots: 1,
    });
    expect(page?.header.map(({ name, value }) => `${name} ${value}`)).toEqual([
      'magic "MVPG"',
      "index 0",
      "owner 1",
      "grants 1",
    ]);
    const texts = page?.slots.map(({ slot, value, text }) => `${slot} ${value} ${text}`);
    expect(texts).toContain('0 5 writer 1 series 1 requests_total{path="/b"}');
    expect(texts).toContain("5 10 writer 1 series 5 wait_seconds le=0.002");
    expect(texts).toContain("7 0.07 writer 1 series 5 wait_seconds sum");
    expect(page?.slots[0]).toMatchObject({
      offset: start + PAGE_HEADER_BYTES,
      hex: "0000000000001440",
    });
  });

  test("leaves out pages and slots that are not wanted", () => {
    const { file, reading } = shop();
    const pages = [
      ...rawPages(file, reading, {
        service: (name) => name === "cart",
        metric: () => true,
      }),
    ];
    expect(pages.map(({ page }) => page)).toEqual([1]);
    const [page] = rawPages(file, reading, {
      service: () => true,
      metric: (name) => name === "hottest",
    });
    expect(page?.slots).toMatchObject([{ value: Number.NaN }]);
  });
});
