// Files are merged, joined and dropped, and no query counts a row twice or misses one.

import { expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { sweepFiles } from "../../../src/lake/maintenance/sweep.ts";
import { encodeSegment } from "../../../src/layout/index.ts";
import { ORIGIN } from "../../support/blocks.ts";
import { grownBlock } from "../../support/grown-blocks.ts";
import { patience } from "../../support/speed.ts";
import { type MadeBlock, makeBlock, T0 } from "../views/blocks.ts";
import { SmallLake } from "./small-lake.ts";

// DuckDB is loaded first, in several threads.
setDefaultTimeout(patience(60_000));

const SECOND_NS = 1_000_000_000n;
const HOUR_NS = 3600n * SECOND_NS;
const at = (seconds: number) => T0 + BigInt(seconds) * SECOND_NS;

/** The `i`-th block of a stream: two logs a second apart. */
function logBlock(i: number, seconds = 2 * i): MadeBlock {
  const logs = [0, 1].map((each) => ({
    timeNs: at(seconds + each),
    message: String(2 * i + each),
    properties: `{"n":${i}}`,
  }));
  return makeBlock({ logs }, { first: 16 + 8 * i, end: 24 + 8 * i });
}

/** Adds blocks one by one, each made into a file of its own. */
async function addFiles(lake: SmallLake, blocks: readonly MadeBlock[]): Promise<void> {
  for (const block of blocks) {
    await lake.add([block]);
    await lake.materializer.round();
  }
}

function parquetFiles(lake: SmallLake, view = ""): string[] {
  return readdirSync(join(lake.dir, "views"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".parquet") && name.startsWith(view))
    .sort();
}

const liveRows = async (lake: SmallLake, view: string) =>
  (await lake.catalogue.livePartitions(view)).map(({ rows }) => rows);

test("small files become one, sorted, with the same rows", async () => {
  await using lake = await SmallLake.open();
  // Every second one is older than the one before.
  const blocks = Array.from({ length: 20 }, (_, i) =>
    logBlock(i, i % 2 === 0 ? 2 * i : 100 - 2 * i),
  );
  await addFiles(lake, blocks);
  const select = "SELECT message, properties['n'] AS n FROM log_entries ORDER BY time, message";
  const before = await lake.query(select);
  expect(before).toHaveLength(40);
  expect(await liveRows(lake, "log_entries")).toHaveLength(20);
  await lake.maintenance.merger.round();
  const [merged, ...others] = await lake.catalogue.livePartitions("log_entries");
  expect([merged!.rows, others.length]).toEqual([40, 0]);
  expect(await lake.query(select)).toEqual(before);
  expect(
    await lake.query(
      "SELECT DISTINCT message FROM (SELECT message, time_ns < lag(time_ns) OVER () AS back FROM log_entries) WHERE back",
    ),
  ).toEqual([]);
  await lake.maintenance.retainer.round();
  expect(parquetFiles(lake, "log_entries")).toEqual([merged!.file.slice("views/".length)]);
});

test("files that cannot be merged stay as they are, are tried once, and do not hold up others", async () => {
  await using lake = await SmallLake.open();
  await addFiles(
    lake,
    Array.from({ length: 16 }, (_, i) => logBlock(i)),
  );
  const [first] = await lake.catalogue.livePartitions("log_entries");
  const path = join(lake.dir, first!.file);
  renameSync(path, `${path}.away`);
  await lake.maintenance.merger.round();
  await lake.maintenance.merger.round();
  const said = () => lake.said.filter((line) => line.includes("are not merged"));
  expect(said()).toHaveLength(1);
  renameSync(`${path}.away`, path);
  expect(await lake.query("SELECT count(*)::INTEGER AS n FROM log_entries")).toEqual([{ n: 32 }]);
  await addFiles(
    lake,
    Array.from({ length: 16 }, (_, i) => logBlock(100 + i)),
  );
  await lake.maintenance.merger.round();
  expect((await liveRows(lake, "log_entries")).sort()).toEqual([...Array<number>(16).fill(2), 32]);
  expect(said()).toHaveLength(1);
});

test("a file that a query reads stays until it has ended, also when it was merged", async () => {
  await using lake = await SmallLake.open();
  await addFiles(
    lake,
    Array.from({ length: 16 }, (_, i) => logBlock(i)),
  );
  const opened = await lake.tables.open(["log_entries"], {}, new AbortController().signal);
  await lake.maintenance.merger.round();
  await lake.maintenance.retainer.round();
  expect(opened.files.filter((file) => !existsSync(file))).toEqual([]);
  opened.close();
  await lake.maintenance.retainer.round();
  expect(opened.files.filter((file) => existsSync(file))).toEqual([]);
  expect(parquetFiles(lake, "log_entries")).toHaveLength(1);
});

test("halves of spans become spans, those without another half stay, and tables look the same", async () => {
  const clock = { nowNs: at(0) };
  await using lake = await SmallLake.open({ nowNs: () => clock.nowNs });
  const select = "SELECT span_id, status, duration_ms, begin_ns FROM spans ORDER BY span_id";
  const next = (i: number) => ({ first: 16 + 8 * i, end: 24 + 8 * i });
  const opens = (...ids: bigint[]) =>
    ids.map((spanId) => ({ spanId, beginNs: at(Number(spanId)) }));
  const closes = (...ids: bigint[]) =>
    ids.map((spanId) => ({ spanId, endNs: at(Number(spanId) + 2) }));
  const steps = [
    makeBlock({ opens: opens(1n, 2n, 3n) }, next(0)),
    makeBlock({ opens: opens(86_399n), closes: closes(1n) }, next(1)),
    makeBlock({ closes: closes(2n, 86_399n, 77n) }, next(2)),
  ];
  for (const block of steps) {
    await lake.add([block]);
    // Asked for in between, so that each is a file.
    await lake.query(select);
  }
  const before = await lake.query(select);
  expect(before.map(({ status }) => status)).toEqual(["ok", "ok", "open", "ok"]);
  expect(await liveRows(lake, "spans")).toEqual([]);
  clock.nowNs = at(120);
  await lake.maintenance.merger.round();
  await lake.maintenance.merger.round();
  expect((await liveRows(lake, "spans")).reduce((sum, rows) => sum + rows, 0)).toBe(3);
  expect(await liveRows(lake, "span_opens")).toEqual([1]);
  expect(await liveRows(lake, "span_closes")).toEqual([1]);
  expect(await lake.query(select)).toEqual(before);
  // A late end finds its beginning all the same.
  await lake.add([makeBlock({ closes: closes(3n) }, next(3))]);
  expect((await lake.query(select)).map(({ status }) => status)).toEqual(["ok", "ok", "ok", "ok"]);
});

test("beginnings and ends that came twice are counted as they were before", async () => {
  const clock = { nowNs: at(0) };
  await using lake = await SmallLake.open({ nowNs: () => clock.nowNs });
  const twice = [{ spanId: 1n }, { spanId: 1n }, { spanId: 2n }];
  const ends = [{ spanId: 1n }, { spanId: 2n }, { spanId: 2n }];
  await lake.add([makeBlock({ opens: twice })]);
  const select = "SELECT span_id, status FROM spans ORDER BY span_id";
  await lake.query(select);
  await lake.add([makeBlock({ closes: ends }, { first: 4096, end: 8192 })]);
  const before = await lake.query(select);
  expect(before).toHaveLength(3);
  clock.nowNs = at(120);
  await lake.maintenance.merger.round();
  expect(await lake.query(select)).toEqual(before);
  expect(lake.said.filter((line) => line.includes("cannot"))).toEqual([]);
});

test("what is older than it may be goes: rows, blocks, blobs and files", async () => {
  const clock = { nowNs: at(3100) };
  await using lake = await SmallLake.open({
    ...{ retention: { ageMs: 3_600_000 }, nowNs: () => clock.nowNs },
  });
  await addFiles(lake, [logBlock(0, 0), logBlock(1, 3000)]);
  clock.nowNs = at(10) + HOUR_NS;
  await lake.maintenance.retainer.round();
  clock.nowNs += SECOND_NS;
  await lake.maintenance.retainer.round();
  expect(await lake.query("SELECT message FROM log_entries ORDER BY time")).toEqual([
    { message: "2" },
    { message: "3" },
  ]);
  expect(parquetFiles(lake)).toHaveLength(1);
  expect(await lake.catalogue.read`SELECT blob FROM segments`).toHaveLength(1);
  expect(readdirSync(join(lake.dir, "blobs/2026-12-01"))).toHaveLength(1);
  clock.nowNs = at(3100) + HOUR_NS;
  await lake.maintenance.retainer.round();
  expect(await lake.catalogue.processesIn({ fromNs: 0n, toNs: 1n << 62n })).toEqual([]);
});

test("what was dropped does not come back when it is sent again, also where newer rows keep its file", async () => {
  const clock = { nowNs: at(3000) };
  await using lake = await SmallLake.open({
    ...{ retention: { ageMs: 3_600_000 }, nowNs: () => clock.nowNs },
  });
  const old = logBlock(0, 0);
  // One file for both.
  await lake.add([old, logBlock(1, 3000)]);
  await lake.materializer.round();
  clock.nowNs = at(10) + HOUR_NS;
  await lake.maintenance.retainer.round();
  expect(await lake.catalogue.blocksIn({ fromNs: 0n, toNs: 1n << 62n })).toHaveLength(1);
  const count = () => lake.query("SELECT count(*)::INTEGER AS n FROM log_entries");
  const before = await count();
  await lake.add([old]);
  await lake.materializer.round();
  expect(await count()).toEqual(before);
  await lake.maintenance.retainer.round();
  expect(await lake.catalogue.blocksWithout("log_entries")).toEqual([]);
});

test("a span that was lost is not open again when a file that has it outlives its process's blocks", async () => {
  const clock = { nowNs: at(3000) };
  await using lake = await SmallLake.open({
    ...{ retention: { ageMs: 24 * 3_600_000 }, nowNs: () => clock.nowNs },
  });
  const select = "SELECT span_id, status FROM spans ORDER BY begin_ns";
  const of = (streamId: string) => ({ stream: { ...ORIGIN.stream, streamId } });
  const opens = (spanId: bigint, seconds: number) => [{ spanId, beginNs: at(seconds) }];
  const ended = of("00000000000000aa");
  const blocks = [
    makeBlock({ opens: opens(1n, 5) }, { ...ended, first: 16, end: 24 }),
    makeBlock({}, { ...ended, first: 24, end: 24, isFinal: true }),
    makeBlock({ opens: opens(2n, 3000) }, { ...of("00000000000000bb"), first: 16, end: 24 }),
  ];
  for (const block of blocks) {
    await lake.add([block]);
    await lake.query(select);
  }
  const before = await lake.query(select);
  expect(before.map(({ status }) => status)).toEqual(["lost", "open"]);
  clock.nowNs = at(10) + 24n * HOUR_NS;
  await lake.maintenance.merger.round();
  expect(await liveRows(lake, "span_opens")).toEqual([2]);
  await lake.maintenance.retainer.round();
  expect(await lake.catalogue.blocksIn({ fromNs: 0n, toNs: 1n << 62n })).toHaveLength(1);
  expect(await lake.query(select)).toEqual(before);
  // When the file goes, nothing has the stream any more.
  clock.nowNs += HOUR_NS;
  await lake.maintenance.retainer.round();
  expect(await lake.catalogue.streams(["00000000000000aa", "00000000000000bb"])).toEqual(new Map());
});

test("when there is too much, the oldest goes, and what came last stays", async () => {
  const clock = { nowNs: at(5400) };
  const text = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(2_000)), (byte) => byte.toString(16)).join("");
  const blocks = Array.from({ length: 10 }, (_, i) =>
    makeBlock(
      { logs: [{ timeNs: at(600 * i), message: text() }] },
      { first: 16 + 8 * i, end: 24 + 8 * i },
    ),
  );
  await using lake = await SmallLake.open({
    ...{ retention: { bytes: 30_000 }, nowNs: () => clock.nowNs },
  });
  await addFiles(lake, blocks);
  clock.nowNs = at(600 * 10);
  await lake.maintenance.retainer.round();
  const left = await lake.query("SELECT time_ns FROM log_entries ORDER BY time");
  expect(left.length).toBeGreaterThan(0);
  expect(left.length).toBeLessThan(8);
  expect(left.at(-1)).toEqual({ time_ns: String(at(600 * 9)) });
  const { length } = left;
  await lake.maintenance.retainer.round();
  expect(await lake.query("SELECT count(*)::INTEGER AS n FROM log_entries")).toEqual([
    { n: length },
  ]);
});

test("when there is too much, events of the future go before what has come after them", async () => {
  const clock = { nowNs: at(0) };
  const text = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(2_000)), (byte) => byte.toString(16)).join("");
  const block = (i: number, seconds: number) =>
    makeBlock(
      { logs: [{ timeNs: at(seconds), message: text() }] },
      { first: 16 + 8 * i, end: 24 + 8 * i },
    );
  await using lake = await SmallLake.open({
    ...{ retention: { bytes: 30_000 }, nowNs: () => clock.nowNs },
  });
  const ahead = [0, 1, 2, 3, 4].map((i) => block(i, 2 * 86_400 * (i + 1)));
  await addFiles(lake, ahead);
  clock.nowNs = at(600);
  const right = [5, 6, 7].map((i) => block(i, 590 + i));
  await addFiles(lake, right);
  clock.nowNs = at(1_200);
  await lake.maintenance.retainer.round();
  const left = await lake.query("SELECT time_ns FROM log_entries ORDER BY time");
  expect(left.map(({ time_ns }) => time_ns)).toEqual(
    [595, 596, 597].map((each) => String(at(each))),
  );
});

test("an event of the future goes some time after it came", async () => {
  const clock = { nowNs: at(0) };
  await using lake = await SmallLake.open({
    ...{ retention: { ageMs: 3_600_000 }, nowNs: () => clock.nowNs },
  });
  await addFiles(lake, [logBlock(0, 10 ** 9)]);
  clock.nowNs = at(2 * 86_400);
  await lake.maintenance.retainer.round();
  expect(await lake.catalogue.livePartitions("log_entries")).toEqual([]);
  expect(await lake.catalogue.blocksIn({ fromNs: 0n, toNs: 1n << 62n })).toEqual([]);
});

test("files that nobody knows are removed: when a lake starts, and later the old ones", async () => {
  await using lake = await SmallLake.open();
  await addFiles(lake, [logBlock(0)]);
  const [known] = parquetFiles(lake, "log_entries");
  const folder = join(lake.dir, "views/log_entries/data/day=2026-12-01");
  mkdirSync(folder, { recursive: true });
  const [young, old] = ["young", "old"].map((name) => join(folder, `${name}.parquet`));
  for (const path of [young!, old!]) writeFileSync(path, "PAR1");
  utimesSync(old!, 1, 1);
  expect(await sweepFiles(lake.dir, lake.catalogue, 3_600_000)).toBe(1);
  expect([existsSync(young!), existsSync(old!)]).toEqual([true, false]);
  writeFileSync(join(lake.dir, "views/.unfinished/x.parquet"), "PAR1");
  await lake.close();
  const again = await SmallLake.open({ dir: lake.dir });
  expect(parquetFiles(again)).toEqual([known!]);
  expect(existsSync(join(lake.dir, "views/.unfinished/x.parquet"))).toBeFalse();
  await again.close();
  // The first one is closed again at the end of the test.
  Object.assign(lake, { close: async () => {} });
});

test("a block that cannot be read is set aside with its reason, and the others are there", async () => {
  await using lake = await SmallLake.open();
  const days = Array.from({ length: 100 }, (_, i) => ({ timeNs: at(86_400 * i), message: "bad" }));
  const bad = makeBlock({ logs: days }, { first: 9000, end: 9008 });
  await lake.add([logBlock(0), bad, logBlock(1), logBlock(2)]);
  await lake.materializer.round();
  const count = () => lake.query("SELECT count(*)::INTEGER AS n FROM log_entries");
  expect(await count()).toEqual([{ n: 6 }]);
  expect(await lake.state.blocksSetAside()).toEqual([
    {
      ...{ blockId: bad.blockId, view: "log_entries" },
      reason: "its rows are of 100 days, more than 64",
    },
  ]);
  expect(lake.said.join("\n")).toContain(
    `a block was set aside: the view log_entries goes without it {"block":"${bad.blockId}"`,
  );
});

test("a block of a version to come is set aside, until there is a lake that reads it", async () => {
  await using lake = await SmallLake.open();
  const { blockId, bytes } = logBlock(1);
  const sound = grownBlock(bytes, {});
  await lake.add(
    [logBlock(0), { blockId, bytes: grownBlock(bytes, { incompatible: 1 }) }],
    "grown",
  );
  expect(await lake.query("SELECT * FROM log_entries")).toHaveLength(2);
  const reason = "its payload has features that this microview does not know (0x1)";
  expect(await lake.state.blocksSetAside()).toEqual([{ blockId, view: "log_entries", reason }]);
  await lake.close();
  // What the next lake knows, this one would call sound.
  const segment = encodeSegment([logBlock(0).bytes, sound]);
  writeFileSync(join(lake.dir, "blobs/2026-12-01/grown"), segment);
  const again = await SmallLake.open({ dir: lake.dir });
  expect(await again.query("SELECT * FROM log_entries")).toHaveLength(4);
  expect(await again.state.blocksSetAside()).toEqual([]);
  await again.close();
  Object.assign(lake, { close: async () => {} });
});

test("a blob that has gone costs its own blocks alone", async () => {
  await using lake = await SmallLake.open();
  await lake.add([logBlock(0)], "gone");
  await lake.add([logBlock(1)]);
  rmSync(join(lake.dir, "blobs/2026-12-01/gone"));
  await lake.materializer.round();
  expect(await lake.query("SELECT count(*)::INTEGER AS n FROM log_entries")).toEqual([{ n: 2 }]);
  const [aside] = await lake.state.blocksSetAside();
  expect(aside!.reason).toContain("there is no blob");
});

test("what was set aside is looked at again by the next lake", async () => {
  await using lake = await SmallLake.open();
  await lake.add([logBlock(0)]);
  const [block] = await lake.catalogue.blocksWithout("log_entries");
  await lake.state.setAside("log_entries", [{ ...block!, reason: "an older version" }]);
  expect(await lake.query("SELECT * FROM log_entries")).toEqual([]);
  await lake.close();
  const again = await SmallLake.open({ dir: lake.dir });
  expect(await again.query("SELECT * FROM log_entries")).toHaveLength(2);
  expect(await again.state.blocksSetAside()).toEqual([]);
  await again.close();
  Object.assign(lake, { close: async () => {} });
});

test("a view whose folder cannot be written is told of, and does not hold up another", async () => {
  await using lake = await SmallLake.open();
  await lake.add([makeBlock({ logs: [{}], measures: [{}] })]);
  mkdirSync(join(lake.dir, "views/log_entries"), { recursive: true });
  writeFileSync(join(lake.dir, "views/log_entries/data"), "in the way");
  await lake.materializer.round();
  expect(await lake.query("SELECT value FROM measures")).toEqual([{ value: 1.5 }]);
  const failed = await lake.query("SELECT * FROM log_entries").then(() => undefined, String);
  expect(failed!).toContain("the view log_entries cannot be made");
  expect(lake.materializer.failures).toMatchObject([{ view: "log_entries" }]);
  expect(await lake.state.blocksSetAside()).toEqual([]);
  rmSync(join(lake.dir, "views/log_entries/data"));
  expect(await lake.query("SELECT message FROM log_entries")).toHaveLength(1);
  expect(lake.materializer.failures).toEqual([]);
});
