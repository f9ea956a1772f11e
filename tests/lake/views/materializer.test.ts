// Whatever a block does to the thread that writes it, the others become rows.

import { expect, setDefaultTimeout, test } from "bun:test";
import { FileThread, FileThreadError, Materializer } from "../../../src/lake/views/index.ts";
import { patience } from "../../support/speed.ts";
import { SmallLake } from "../maintenance/small-lake.ts";
import { makeBlock, T0 } from "./blocks.ts";

// DuckDB is loaded first.
setDefaultTimeout(patience(60_000));

function block(i: number) {
  return makeBlock({ logs: [{ message: String(i) }] }, { first: 16 + 8 * i, end: 24 + 8 * i });
}

/** A thread that some blocks do something to. */
function threadThat(lake: SmallLake, fails: (blockIds: readonly string[]) => Error | undefined) {
  const thread = new FileThread({ dir: lake.dir, memoryBytes: 2e8 });
  let runs = 0;
  const run: FileThread["run"] = async (kind, given) => {
    runs++;
    const failure = fails(
      (given as { blocks: { blockId: string }[] }).blocks.map(({ blockId }) => blockId),
    );
    if (failure !== undefined) throw failure;
    return await thread.run(kind, given);
  };
  const { catalogue, blobs } = lake;
  const log = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
  const { state } = lake;
  const threads = { eager: { run }, asked: { run } };
  const materializer = new Materializer({ catalogue, blobs, state, log, threads });
  return { materializer, thread, runs: () => runs };
}

test("a block that ends its thread is found among many, and set aside", async () => {
  await using lake = await SmallLake.open();
  const blocks = Array.from({ length: 50 }, (_, i) => block(i));
  const bad = blocks[33]!.blockId;
  await lake.add(blocks);
  const { materializer, thread, runs } = threadThat(lake, (ids) =>
    ids.includes(bad) ? new FileThreadError("it died") : undefined,
  );
  await materializer.round();
  thread.stop();
  expect(runs()).toBeLessThan(25);
  expect(await lake.state.blocksSetAside()).toEqual([
    { blockId: bad, view: "log_entries", reason: "it died" },
  ]);
  expect(
    await lake.query(
      "SELECT count(DISTINCT message)::INTEGER AS n, count(*)::INTEGER AS m FROM log_entries",
    ),
  ).toEqual([{ n: 49, m: 49 }]);
});

test("what the host lacks is no block's fault: nothing is set aside, and it is tried again", async () => {
  await using lake = await SmallLake.open();
  await lake.add([block(0), block(1)]);
  let isFull = true;
  const { materializer, thread } = threadThat(lake, () =>
    isFull ? new Error("no room") : undefined,
  );
  await materializer.round();
  expect(materializer.failures).toEqual([{ view: "log_entries", message: "no room" }]);
  isFull = false;
  const range = { fromNs: 0n, toNs: 1n << 62n };
  await materializer.ensure("log_entries", range, new AbortController().signal);
  thread.stop();
  expect(materializer.failures).toEqual([]);
  expect(await lake.state.blocksSetAside()).toEqual([]);
  expect(await lake.query("SELECT * FROM log_entries")).toHaveLength(2);
});

test("a query that misses nothing does not wait for files of another range", async () => {
  await using lake = await SmallLake.open();
  await lake.add([block(0)]);
  const held = Promise.withResolvers<void>();
  const { materializer, thread } = threadThat(lake, () => undefined);
  const { addPartitions } = lake.catalogue;
  lake.catalogue.addPartitions = async (...given) => {
    await held.promise;
    return await addPartitions.apply(lake.catalogue, given);
  };
  const round = materializer.round();
  const later = { fromNs: T0 + 1n, toNs: 1n << 62n };
  await materializer.ensure("log_entries", later, new AbortController().signal);
  held.resolve();
  await round;
  thread.stop();
  expect(await lake.query("SELECT message FROM log_entries")).toEqual([{ message: "0" }]);
});

test("a lake that stops answers no query with a part of its rows", async () => {
  await using lake = await SmallLake.open();
  await lake.add([block(0)]);
  const { materializer, thread } = threadThat(lake, () => undefined);
  await materializer.stop();
  const range = { fromNs: 0n, toNs: 1n << 62n };
  const asked = materializer.ensure("log_entries", range, new AbortController().signal);
  expect((await asked.then(() => undefined, String))!).toContain("the lake stops");
  thread.stop();
});

test("blocks that retention takes while they are written are in no file that counts", async () => {
  await using lake = await SmallLake.open();
  const blocks = [block(0), block(1)];
  await lake.add(blocks);
  let isFirst = true;
  const { materializer, thread } = threadThat(lake, () => undefined);
  const { addPartitions } = lake.catalogue;
  lake.catalogue.addPartitions = async (...given) => {
    if (isFirst) await lake.catalogue.forgetBlocks([blocks[0]!.blockId]);
    isFirst = false;
    return await addPartitions.apply(lake.catalogue, given);
  };
  await materializer.round();
  thread.stop();
  expect(await lake.query("SELECT message FROM log_entries")).toEqual([{ message: "1" }]);
});
