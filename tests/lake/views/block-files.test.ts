// Blocks of events as Parquet files, which DuckDB, and a reader that has nothing of DuckDB's in it, both understand.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { BLOCK_VIEWS } from "../../../src/lake/catalogue/index.ts";
import type { NewPartition } from "../../../src/lake/index.ts";
import { BlockFiles } from "../../../src/lake/views/block-files.ts";
import { FILE_VIEWS, FILES, type FileView } from "../../../src/lake/views/files.ts";
import { ParquetWriter } from "../../../src/lake/views/parquet-writer.ts";
import {
  blankCloses,
  blankLogs,
  blankSpans,
  decodeBlockHeader,
  encodeBlock,
} from "../../../src/layout/index.ts";
import { noColumns, ORIGIN, zstd } from "../../support/blocks.ts";
import { queryParquet } from "../../support/parquet.ts";
import { patience } from "../../support/speed.ts";
import { type MadeBlock, makeBlock, T0 } from "./blocks.ts";

// DuckDB is loaded first.
setDefaultTimeout(patience(60_000));

const dir = mkdtempSync("/tmp/microview-test-");
let writer: ParquetWriter;
let files: BlockFiles;
beforeAll(async () => {
  writer = await ParquetWriter.open({ dir, memoryBytes: 4e8 });
  files = await BlockFiles.open(writer);
});
afterAll(() => {
  writer.close();
  rmSync(dir, { recursive: true });
});

const DAY_NS = 86_400_000_000_000n;

/** Writes, and gives the partitions of each kind of file. */
async function partitions(blocks: readonly MadeBlock[]) {
  const all: NewPartition[] = [];
  for (const view of BLOCK_VIEWS) {
    const { partitions: written, blockIds, damaged, failure } = await files.write(view, blocks);
    expect({ damaged, failure }).toEqual({ damaged: [], failure: undefined });
    expect(blockIds).toEqual(blocks.map(({ blockId }) => blockId));
    // Blocks of measures are none of metrics, which the catalogue knows.
    if (view !== "metrics") all.push(...written);
  }
  return (view: FileView) => all.filter(({ viewName }) => viewName === view);
}

async function rows(file: string, columns: string): Promise<unknown[][]> {
  return await queryParquet(join(dir, file), `SELECT ${columns} FROM FILE`);
}

/** All of a file by hyparquet. */
async function byOthers(file: string): Promise<Record<string, unknown>[]> {
  const bytes = readFileSync(join(dir, file));
  const compressors = { ZSTD: (input: Uint8Array) => Bun.zstdDecompressSync(input) };
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return await parquetReadObjects({ file: buffer, compressors });
}

test("a log has its times, where it is from, its level by name and number, and its properties", async () => {
  const block = makeBlock({
    logs: [
      { timeNs: T0 + 1_234_567n, level: 2, message: "är", properties: '{"a":"b","n":[1]}' },
      { timeNs: T0, spanId: 0xabcn },
    ],
  });
  const [partition] = (await partitions([block]))("log_entries");
  expect(partition).toMatchObject({
    day: "2026-12-01",
    rows: 2,
    minNs: T0,
    maxNs: T0 + 1_234_567n,
  });
  const given = await byOthers(partition!.file);
  const source = {
    ...{ app: "shop", service: "auth", host: "here", stream_id: "0123456789abcdef" },
    ...{ process_id: "00112233445566778899aabbccddeeff", pid: 7, thread: 0, target: "http" },
  };
  expect(given).toEqual([
    {
      ...source,
      ...{ time: new Date("2026-12-01T00:00:00.000Z"), time_ns: T0, level: "info" },
      ...{ level_number: 4, message: "hello", span_id: "0000000000000abc", properties: {} },
    },
    {
      ...source,
      ...{ time: new Date("2026-12-01T00:00:00.001Z"), time_ns: T0 + 1_234_567n, level: "warn" },
      ...{ level_number: 3, message: "är", span_id: null },
      properties: { a: "b", n: "[1]" },
    },
  ] as never);
  expect(await rows(partition!.file, "time::VARCHAR LIKE '%00:00.001234+00'")).toEqual([
    [false],
    [true],
  ]);
});

test("a file has the field ids that its columns are to keep", async () => {
  const block = makeBlock({ logs: [{}], measures: [{}], spans: [{}], opens: [{}], closes: [{}] });
  const partitionsOf = await partitions([block]);
  for (const view of FILE_VIEWS.filter((each) => each !== "metrics")) {
    const [partition] = partitionsOf(view);
    const bytes = readFileSync(join(dir, partition!.file));
    const { schema } = parquetMetadata(
      bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
    );
    const given = schema.flatMap(({ name, field_id }) =>
      field_id === undefined ? [] : [[name, field_id]],
    );
    const expected = FILES[view].columns.flatMap(({ name, id, entry }) => [
      [name, id],
      ...(entry === undefined
        ? []
        : [
            ["key", entry.key],
            ["value", entry.value],
          ]),
    ]);
    expect([view, given]).toEqual([view, expected] as never);
    const ids = expected.map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  }
});

test("the field ids of columns are those that the first version gave them", () => {
  // Files on disk and tables of Iceberg know columns by these numbers: add to them, and change none.
  const ids = (view: FileView) =>
    FILES[view].columns.map(({ name, id }) => `${id} ${name}`).join(" ");
  expect(ids("log_entries")).toBe(
    "1 time 2 time_ns 3 app 4 service 5 host 6 process_id 7 stream_id 8 pid 9 thread 10 level 11 level_number 12 target 13 message 14 span_id 15 properties",
  );
  expect(ids("measures")).toBe(
    "1 time 2 time_ns 3 app 4 service 5 host 6 process_id 7 stream_id 8 target 9 name 10 unit 11 value 12 properties",
  );
  expect(ids("metrics")).toBe(
    "1 time 2 time_ns 3 app 4 service 5 host 6 process_id 7 stream_id 8 name 9 kind 10 unit 11 value 12 labels",
  );
  expect(ids("spans")).toBe(
    "1 begin_time 2 begin_ns 3 end_ns 4 app 5 service 6 host 7 process_id 8 stream_id 9 thread 10 trace_id 11 span_id 12 parent_id 13 depth 14 kind 15 status 16 is_async 17 name 18 target 19 place 20 properties",
  );
  expect(ids("span_opens")).toBe(
    "1 begin_time 2 begin_ns 3 app 4 service 5 host 6 process_id 7 stream_id 8 thread 9 trace_id 10 span_id 11 parent_id 12 depth 13 kind 14 is_async 15 name 16 target 17 place 18 properties",
  );
  expect(ids("span_closes")).toBe(
    "1 end_time 2 end_ns 3 stream_id 4 span_id 5 status 6 properties",
  );
});

test("rows of several blocks are sorted by time, and a file has those of one day", async () => {
  const at = (minutes: number) => T0 + BigInt(minutes) * 60_000_000_000n;
  const first = makeBlock({ logs: [-2, 1, 3].map((each) => ({ timeNs: at(each) })) });
  const second = makeBlock(
    { logs: [-1, 2, 4, 1441].map((each) => ({ timeNs: at(each) })) },
    { first: 4096, end: 8192 },
  );
  const written = (await partitions([first, second]))("log_entries");
  expect(written.map(({ day, rows }) => [day, rows])).toEqual([
    ["2026-11-30", 2],
    ["2026-12-01", 4],
    ["2026-12-02", 1],
  ]);
  const minutes = await rows(written[1]!.file, `((time_ns - ${T0}) // 60000000000)::INTEGER`);
  expect(minutes.flat()).toEqual([1, 2, 3, 4]);
  expect(written[1]!.bounds).toMatchObject({
    // time_ns, level and span_id.
    2: { min: String(at(1)), max: String(at(4)), nulls: 0 },
    10: { min: "info", max: "info", nulls: 0 },
    14: { nulls: 4 },
  });
});

test("a span has ids of hexadecimal digits, and none where there is none", async () => {
  const spanId = 0xfedcba9876543210n;
  const [traceHigh, traceLow] = [0x0123456789abcdefn, 0xfn];
  const block = makeBlock({
    spans: [
      { spanId, traceHigh, traceLow, kind: 2, status: 1, isAsync: 1, depth: 300 },
      { beginNs: T0 + 1n, spanId: 2n, parentId: spanId, traceLow: 0n },
    ],
  });
  const [partition] = (await partitions([block]))("spans");
  expect(
    await rows(partition!.file, "trace_id, span_id, parent_id, kind, status, is_async, depth"),
  ).toEqual([
    [
      ...["0123456789abcdef000000000000000f", "fedcba9876543210", null],
      ...["client", "error", true, 300],
    ],
    [null, "0000000000000002", "fedcba9876543210", "internal", "ok", false, 0],
  ]);
});

test("halves of spans that meet in a batch are joined, and the others wait", async () => {
  const blocks = [
    makeBlock({ opens: [{ spanId: 1n, properties: '{"a":1,"b":1}' }, { spanId: 2n }] }),
    makeBlock(
      {
        closes: [
          { spanId: 1n, endNs: T0 + 500n, status: 1, properties: '{"b":2}' },
          { spanId: 9n, endNs: T0 + 600n },
        ],
      },
      { first: 4096, end: 8192 },
    ),
    // Another stream has its own ids.
    makeBlock(
      { closes: [{ spanId: 2n }] },
      { stream: { streamId: "fedcba9876543210", threadId: 1, startNs: String(T0) } },
    ),
  ];
  const partitionsOf = await partitions(blocks);
  const spans = partitionsOf("spans")[0]!.file;
  expect(
    await rows(spans, "span_id, end_ns - begin_ns, status, properties['a'], properties['b']"),
  ).toEqual([["0000000000000001", "500", "error", "1", "2"]]);
  const [opens] = partitionsOf("span_opens");
  expect(await rows(opens!.file, "span_id")).toEqual([["0000000000000002"]]);
  const [closes] = partitionsOf("span_closes");
  expect(await rows(closes!.file, "span_id, stream_id")).toEqual([
    ["0000000000000009", "0123456789abcdef"],
    ["0000000000000002", "fedcba9876543210"],
  ]);
});

test("a batch without rows of a view makes no file of it", async () => {
  const partitionsOf = await partitions([makeBlock({ logs: [{}] })]);
  expect(FILE_VIEWS.map((view) => partitionsOf(view).length)).toEqual([1, 0, 0, 0, 0, 0]);
});

test("a damaged block is told of and left out, and those beside it are written", async () => {
  const good = makeBlock({ logs: [{ message: "good" }] });
  const cut = { blockId: "x", bytes: good.bytes.subarray(0, 40) };
  const flipped = {
    ...good,
    bytes: good.bytes.map((byte, i) => (i === good.bytes.length - 3 ? byte ^ 1 : byte)),
  };
  const other = { ...makeBlock({ logs: [{}] }, { first: 1 }), blockId: good.blockId };
  const written = await files.write("log_entries", [cut, good, flipped, other]);
  const { damaged } = written;
  expect(written).toMatchObject({ blockIds: [good.blockId], partitions: [{ rows: 1 }] });
  expect(damaged.map(({ reason }) => reason)).toEqual([
    expect.stringContaining("bytes"),
    expect.stringContaining("checksum"),
    expect.stringContaining("it is the block"),
  ]);
});

test("a block whose rows are of more days than can be meant is a failure of it, and leaves no file", async () => {
  const before = readdirSync(dir, { recursive: true }).length;
  const logs = Array.from({ length: 100 }, (_, i) => ({ timeNs: T0 + BigInt(i) * DAY_NS }));
  const { failure, partitions: none } = await files.write("log_entries", [makeBlock({ logs })]);
  expect(none).toEqual([]);
  expect(failure).toMatchObject({ isOfSystem: false });
  expect(failure!.message).toContain("100 days");
  expect(readdirSync(dir, { recursive: true })).toHaveLength(before);
  expect((await partitions([makeBlock({ logs: [{}] })]))("log_entries")).toHaveLength(1);
});

test("files of many rows are the same to a reader that others wrote", async () => {
  const count = 5_000;
  const spans = Array.from({ length: count }, (_, i) => ({
    beginNs: T0 + BigInt(i) * 1_234_567n,
    endNs: T0 + BigInt(i) * 1_234_567n + BigInt(i * i),
    spanId: BigInt(i + 1),
    traceLow: BigInt(1 + Math.floor(i / 7)),
    name: `span ${i % 11}`,
    properties: i % 3 === 0 ? `{"i":${i},"text":"é${"x".repeat(i % 50)}"}` : "",
  }));
  const logs = Array.from({ length: count }, (_, i) => ({
    timeNs: T0 + BigInt((i * 7919) % count),
    message: `message ${i} ${"é".repeat(i % 30)}`,
  }));
  const partitionsOf = await partitions([makeBlock({ spans, logs })]);
  const read = await byOthers(partitionsOf("spans")[0]!.file);
  const given = read.map((row) => ({
    beginNs: row["begin_ns"],
    endNs: row["end_ns"],
    spanId: BigInt(`0x${row["span_id"]}`),
    traceLow: BigInt(`0x${row["trace_id"]}`),
    name: row["name"],
    properties: row["properties"],
  }));
  const expected = spans.map((span) => ({
    ...span,
    properties: Object.fromEntries(
      Object.entries(JSON.parse(span.properties || "{}")).map(([key, value]) => [
        key,
        String(value),
      ]),
    ),
  }));
  expect(given).toEqual(expected);
  const messages = (await byOthers(partitionsOf("log_entries")[0]!.file)).map(
    ({ message }) => message,
  );
  const sorted = logs.toSorted((a, b) => (a.timeNs < b.timeNs ? -1 : 1));
  expect(messages).toEqual(sorted.map(({ message }) => message));
});

/** A block whose rows share one message and one set of properties. */
function sharing(rows: number, message: string, properties: string): MadeBlock {
  const logs = { ...blankLogs(rows), timeNs: new BigInt64Array(rows).fill(T0) };
  const shared = (text: string) => ({ index: new Uint32Array(rows), texts: [text] });
  const bytes = encodeBlock(
    ORIGIN,
    { ...noColumns(), logs: { ...logs, message: shared(message), properties: shared(properties) } },
    zstd,
  );
  return { blockId: decodeBlockHeader(bytes).blockId, bytes };
}

test("rows that share a long text are in several files, and no more memory is taken", async () => {
  const block = sharing(10_000, "x".repeat(60_000), "");
  const written = (await partitions([block]))("log_entries");
  expect(written.map(({ rows }) => rows)).toEqual([2236, 2236, 2236, 2236, 1056]);
});

test("a block of few bytes that would be many rows of long texts, or of many properties, is refused", async () => {
  const many = JSON.stringify(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [i, 1])));
  for (const [message, properties] of [
    ["x".repeat(1 << 20), ""],
    ["", many],
  ] as const) {
    const block = sharing(100_000, message, properties);
    expect(block.bytes.length).toBeLessThan(1e6);
    const { failure, partitions: none } = await files.write("log_entries", [block]);
    expect(none).toEqual([]);
    expect(failure).toEqual({ message: "its texts take more than 4 GiB", isOfSystem: false });
  }
});

test("halves of spans that share long properties stay halves once there are too many", async () => {
  const long = `{"text":"${"x".repeat(1 << 20)}"}`;
  const ids = Array.from({ length: 200 }, (_, i) => BigInt(i + 1));
  const shared = (count: number) => ({ index: new Uint32Array(count), texts: [long] });
  const { opens } = { opens: { ...blankSpans(200), properties: shared(200) } };
  const { closes } = { closes: { ...blankCloses(200), properties: shared(200) } };
  for (const [i, id] of ids.entries()) opens.spanId[i] = closes.spanId[i] = id;
  opens.beginNs.fill(T0);
  closes.endNs.fill(T0 + 1n);
  const blocks = [
    encodeBlock(ORIGIN, { ...noColumns(), opens }, zstd),
    encodeBlock({ ...ORIGIN, first: 4096, end: 8192 }, { ...noColumns(), closes }, zstd),
  ].map((bytes) => ({ bytes, blockId: decodeBlockHeader(bytes).blockId }));
  const { partitions: written } = await files.write("spans", blocks);
  const rows = Object.groupBy(written, ({ viewName }) => viewName);
  const sum = (view: FileView) => rows[view]!.reduce((all, each) => all + each.rows, 0);
  expect([sum("spans"), sum("span_opens"), sum("span_closes")]).toEqual([15, 185, 185]);
});

test("properties that are no JSON do not keep a row away", async () => {
  const [partition] = (await partitions([makeBlock({ logs: [{ properties: '{"a":' }] })]))(
    "log_entries",
  );
  expect(await rows(partition!.file, "properties['microview.unparsed']")).toEqual([['{"a":']]);
});
