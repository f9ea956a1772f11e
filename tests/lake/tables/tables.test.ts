// The tables that queries see, out of blocks that have just come.

import { expect, setDefaultTimeout, test } from "bun:test";
import { createTableSql } from "../../../src/lake/tables/table-sql.ts";
import { patience } from "../../support/speed.ts";
import { SmallLake } from "../maintenance/small-lake.ts";
import { makeBlock, T0 } from "../views/blocks.ts";

// DuckDB is loaded first, in several threads.
setDefaultTimeout(patience(60_000));

const SECOND_NS = 1_000_000_000n;
const at = (seconds: number) => T0 + BigInt(seconds) * SECOND_NS;
const stream = (streamId: string) => ({ stream: { streamId, threadId: 3, startNs: String(T0) } });

test("what was stored is there when it is asked for, without waiting for the next round", async () => {
  await using lake = await SmallLake.open();
  await lake.add([
    makeBlock({
      logs: [{ timeNs: at(1), message: "one", level: 1 }, { timeNs: at(2) }],
      measures: [{ timeNs: at(1), value: 2.5 }],
    }),
  ]);
  const logs = await lake.query("SELECT message, level, properties FROM log_entries ORDER BY time");
  expect(logs).toMatchObject([{ message: "one", level: "error" }, { message: "hello" }]);
  const measures = await lake.query("SELECT name, unit, value FROM measures");
  expect(measures).toEqual([{ name: "latency", unit: "ms", value: 2.5 }]);
});

test("a range has the rows of its time, its end excluded, whatever the files hold", async () => {
  await using lake = await SmallLake.open();
  const logs = [1, 2, 3, 4].map((each) => ({ timeNs: at(each), message: String(each) }));
  await lake.add([makeBlock({ logs })]);
  const rows = await lake.query("SELECT message FROM log_entries", { fromNs: at(2), toNs: at(4) });
  expect(rows).toEqual([{ message: "2" }, { message: "3" }]);
});

test("tables are there, with all of their columns, before anything has come", async () => {
  await using lake = await SmallLake.open();
  for (const table of lake.tables.names) {
    expect([table, await lake.query(`SELECT * FROM ${table}`)]).toEqual([table, []]);
  }
  const columns = await lake.query("DESCRIBE spans");
  expect(columns.map(({ column_name, column_type }) => `${column_name} ${column_type}`)).toEqual([
    ...["begin_time TIMESTAMP WITH TIME ZONE", "end_time TIMESTAMP WITH TIME ZONE"],
    ...["begin_ns BIGINT", "end_ns BIGINT", "duration_ms DOUBLE"],
    ...["app VARCHAR", "service VARCHAR", "host VARCHAR", "process_id VARCHAR"],
    ...["stream_id VARCHAR", "thread INTEGER", "trace_id VARCHAR", "span_id VARCHAR"],
    ...["parent_id VARCHAR", "depth INTEGER", "kind VARCHAR", "status VARCHAR"],
    ...["is_async BOOLEAN", "name VARCHAR", "target VARCHAR", "place VARCHAR"],
    "properties MAP(VARCHAR, VARCHAR)",
  ]);
});

test("spans are made of blocks when they are asked for, and only of those of the range", async () => {
  await using lake = await SmallLake.open();
  const block = (first: number, seconds: number) =>
    makeBlock(
      { spans: [{ beginNs: at(seconds), endNs: at(seconds) + 250_000n }] },
      { first, end: first + 8 },
    );
  await lake.add([block(16, 1), block(24, 100)]);
  const spans = await lake.query("SELECT duration_ms, status, thread, trace_id FROM spans", {
    ...{ fromNs: at(0), toNs: at(10) },
  });
  expect(spans).toEqual([
    { duration_ms: 0.25, status: "ok", thread: 0, trace_id: "00000000000000000000000000000007" },
  ]);
  expect(await lake.catalogue.blocksWithout("spans")).toHaveLength(1);
  expect(await lake.query("SELECT count(*)::INTEGER AS n FROM spans")).toEqual([{ n: 2 }]);
});

test("halves of a span make one row, in whichever order their blocks come", async () => {
  const open = makeBlock({ opens: [{ spanId: 5n, beginNs: at(1), properties: '{"a":1,"b":1}' }] });
  const close = makeBlock(
    { closes: [{ spanId: 5n, endNs: at(3), status: 1, properties: '{"b":2}' }] },
    { first: 4096, end: 8192 },
  );
  for (const order of [
    [open, close],
    [close, open],
  ]) {
    await using lake = await SmallLake.open();
    const select = `SELECT duration_ms, status, properties['a'] AS a, properties['b'] AS b FROM spans`;
    await lake.add([order[0]!]);
    const first = await lake.query(select);
    expect(first).toEqual(
      order[0] === open ? [{ duration_ms: null, status: "open", a: "1", b: "1" }] : [],
    );
    await lake.add([order[1]!]);
    expect(await lake.query(select)).toEqual([
      { duration_ms: 2000, status: "error", a: "1", b: "2" },
    ]);
  }
});

test("a span has the name that its end gives it", async () => {
  const renamed = { properties: '{"otel.name":"GET /orders/:id"}' };
  await using lake = await SmallLake.open();
  await lake.add([
    makeBlock({
      spans: [
        { spanId: 1n, beginNs: at(1), ...renamed },
        { spanId: 2n, beginNs: at(2) },
      ],
      opens: [
        { spanId: 3n, beginNs: at(3) },
        { spanId: 4n, beginNs: at(4) },
      ],
    }),
  ]);
  await lake.add([
    makeBlock({ closes: [{ spanId: 3n, endNs: at(5), ...renamed }] }, { first: 4096, end: 8192 }),
  ]);
  const names = (await lake.query("SELECT name FROM spans ORDER BY begin_ns")) as {
    name: string;
  }[];
  const [, usual] = names;
  expect(usual!.name).not.toBe("GET /orders/:id");
  expect(names.map(({ name }) => name === usual!.name)).toEqual([false, true, false, true]);
});

test("what is open when its writer has ended is lost", async () => {
  await using lake = await SmallLake.open();
  await lake.add([
    makeBlock({ opens: [{ spanId: 5n }] }, { isFinal: true }),
    makeBlock({ opens: [{ spanId: 6n }] }, stream("00000000000000bb")),
  ]);
  expect(await lake.query("SELECT span_id, status FROM spans ORDER BY span_id")).toEqual([
    { span_id: "0000000000000005", status: "lost" },
    { span_id: "0000000000000006", status: "open" },
  ]);
});

test("a span that began in the range has its end, however many blocks later it comes", async () => {
  await using lake = await SmallLake.open();
  const later = Array.from({ length: 20 }, (_, i) =>
    makeBlock(
      { closes: [{ spanId: BigInt(100 + i), endNs: at(100 + i) }] },
      { first: 4096 + 8 * i, end: 4104 + 8 * i },
    ),
  );
  const open = makeBlock({ opens: [{ spanId: 117n, beginNs: at(1) }] });
  await lake.add([open, ...later]);
  const range = { fromNs: at(0), toNs: at(10) };
  expect(await lake.query("SELECT status, duration_ms FROM spans", range)).toEqual([
    { status: "ok", duration_ms: 116_000 },
  ]);
  // Those behind it were not needed.
  expect((await lake.catalogue.blocksWithout("spans")).length).toBe(0);
});

test("asynchronous spans are events of two rows, and the others are spans of threads", async () => {
  await using lake = await SmallLake.open();
  await lake.add([
    makeBlock({
      spans: [
        { spanId: 1n, name: "sync" },
        { spanId: 2n, name: "async", isAsync: 1, beginNs: at(1), endNs: at(2) },
      ],
      opens: [{ spanId: 3n, name: "begun", isAsync: 1, beginNs: at(3) }],
    }),
  ]);
  expect(await lake.query("SELECT name FROM thread_spans")).toEqual([{ name: "sync" }]);
  const events = await lake.query("SELECT time_ns, event, name FROM async_events ORDER BY time");
  expect(events).toEqual([
    { time_ns: String(at(1)), event: "begin", name: "async" },
    { time_ns: String(at(2)), event: "end", name: "async" },
    { time_ns: String(at(3)), event: "begin", name: "begun" },
  ]);
});

test("points of metrics, which are measures of blocks of their own, are rows of metrics alone", async () => {
  await using lake = await SmallLake.open();
  const { stream: points } = stream("00000000000000cc");
  const measures = [{ name: "requests", target: "counter", unit: "1", properties: '{"path":"/"}' }];
  await lake.add([makeBlock({ measures }, { stream: { ...points, kind: "metrics" } })]);
  expect(await lake.query("SELECT name, kind, value, labels['path'] AS path FROM metrics")).toEqual(
    [{ name: "requests", kind: "counter", value: 1.5, path: "/" }],
  );
  expect(await lake.query("SELECT * FROM measures")).toEqual([]);
});

test("processes, streams and blocks are those with events in the range", async () => {
  await using lake = await SmallLake.open();
  await lake.add([
    makeBlock({ logs: [{ timeNs: at(1) }] }, { ...stream("00000000000000aa"), isFinal: true }),
    makeBlock({ logs: [{ timeNs: at(50) }] }, stream("00000000000000bb")),
  ]);
  const range = { fromNs: at(0), toNs: at(10) };
  expect(await lake.query("SELECT app, service, start_time FROM processes", range)).toEqual([
    { app: "shop", service: "auth", start_time: "2023-11-14 22:13:20+00" },
  ]);
  expect(await lake.query("SELECT stream_id, thread, end_ns FROM streams", range)).toEqual([
    { stream_id: "00000000000000aa", thread: "3", end_ns: String(at(1)) },
  ]);
  expect(await lake.query("SELECT logs, is_final, begin_ns FROM blocks", range)).toEqual([
    { logs: "1", is_final: true, begin_ns: String(at(1)) },
  ]);
});

test("many who ask for the same at once get the same, and it is made once", async () => {
  await using lake = await SmallLake.open();
  await lake.add([makeBlock({ spans: [{}, { spanId: 2n }] })]);
  const count = () => lake.query("SELECT count(*)::INTEGER AS n FROM spans");
  expect(await Promise.all([count(), count(), count()])).toEqual([
    [{ n: 2 }],
    [{ n: 2 }],
    [{ n: 2 }],
  ]);
  expect(await lake.catalogue.livePartitions("spans")).toHaveLength(1);
});

test("a caller who has gone is not worked for", async () => {
  await using lake = await SmallLake.open();
  await lake.add([makeBlock({ spans: [{}] })]);
  const gone = AbortSignal.abort(new Error("gone"));
  expect((await lake.tables.open(["spans"], {}, gone).then(() => undefined, String))!).toContain(
    "gone",
  );
  expect(await lake.catalogue.livePartitions("spans")).toEqual([]);
});

test("files are compared by their columns only where these differ, as that opens all of them", () => {
  const sqlOf = (areAlike: boolean) => {
    const files = { paths: ["/a.parquet", "/b.parquet"], areInside: true, areAlike };
    return createTableSql("log_entries", { log_entries: files }, { fromNs: 0n, toNs: 1n });
  };
  expect(sqlOf(false)).toContain("union_by_name = true");
  expect(sqlOf(true)).not.toContain("union_by_name");
});
