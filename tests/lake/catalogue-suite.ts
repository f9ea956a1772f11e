// What the catalogue promises, whichever database keeps it: segments arrive once, blocks are in a view once, and files
// are replaced in one step.

import { describe, expect, test } from "bun:test";
import { ViewState } from "../../src/lake/catalogue/index.ts";
import { type Catalogue, CatalogueConflictError } from "../../src/lake/index.ts";
import { DAY_NS, newBlock, newPartition, newSegment, PROCESS_ID } from "./fixtures.ts";

const ALL = { fromNs: 0n, toNs: 1n << 62n };
const SECOND_NS = 1_000_000_000n;

/** A catalogue of one test, whose clock stands still until it is moved. */
export interface OpenedCatalogue extends AsyncDisposable {
  readonly catalogue: Catalogue;
  readonly clock: { nowNs: bigint };
  /** The same database once more. */
  open(): Promise<Catalogue>;
}

const idsOf = (blocks: readonly { blockId: string }[]) => blocks.map(({ blockId }) => blockId);

export function catalogueSuite(opened: () => Promise<OpenedCatalogue>): void {
  test("a block that began long before a range and ends long after it is in it", async () => {
    await using it = await opened();
    const hours = (count: number) => DAY_NS + BigInt(count) * 3_600n * SECOND_NS;
    const long = newBlock(0, { beginNs: hours(1), endNs: hours(9) });
    const short = newBlock(1, { beginNs: hours(2), endNs: hours(2) + SECOND_NS });
    await it.catalogue.addSegment(newSegment("s1", [long, short]));
    const range = { fromNs: hours(5), toNs: hours(6) };
    expect(idsOf(await it.catalogue.blocksIn(range))).toEqual([long.blockId]);
    expect(idsOf(await it.catalogue.blocksWithout("spans", { range }))).toEqual([long.blockId]);
    expect(await it.catalogue.processesIn(range)).toHaveLength(1);
    const both = { fromNs: hours(2), toNs: hours(3) };
    expect(idsOf(await it.catalogue.blocksIn(both))).toEqual([long.blockId, short.blockId]);
    expect(await it.catalogue.streamsIn({ fromNs: hours(10), toNs: hours(11) })).toEqual([]);
  });

  describe("a segment", () => {
    test("is added once, however often it is sent", async () => {
      await using it = await opened();
      const segment = newSegment("s1", [newBlock(0), newBlock(1)]);
      expect(await it.catalogue.addSegment(segment)).toEqual({
        ...{ isNew: true, blocks: 2, known: 0, conflicts: [], again: [], ownIds: [] },
      });
      expect(await it.catalogue.addSegment(segment)).toMatchObject({ isNew: false });
      expect(await it.catalogue.hasSegment("s1")).toBeTrue();
      expect(await it.catalogue.blocksIn(ALL)).toHaveLength(2);
    });

    test("with a block that another has brought leaves it as it is, and tells which ends elsewhere", async () => {
      await using it = await opened();
      await it.catalogue.addSegment(newSegment("s1", [newBlock(0), newBlock(1)]));
      const added = await it.catalogue.addSegment(
        newSegment("s2", [newBlock(0), newBlock(1, { endWord: 250 }), newBlock(2)]),
      );
      expect(added).toMatchObject({
        ...{ isNew: true, blocks: 3, known: 2, conflicts: [newBlock(1).blockId] },
        again: [{ blockId: newBlock(0).blockId, blob: "2026-12-01/s1", blobOffset: 8 }],
      });
      const blocks = await it.catalogue.blocksIn(ALL);
      expect(blocks.map(({ segmentId, endWord }) => [segmentId, endWord])).toEqual([
        ["s1", 100],
        ["s1", 200],
        ["s2", 300],
      ]);
    });

    test("gives back processes and streams as they came, and when a stream has ended", async () => {
      await using it = await opened();
      await it.catalogue.addSegment(newSegment("s1", [newBlock(0)]));
      const [stream] = await it.catalogue.streamsIn(ALL);
      expect(stream?.endedNs).toBeUndefined();
      const last = newBlock(1, { isFinal: true });
      await it.catalogue.addSegment(newSegment("s2", [last]));
      expect(await it.catalogue.processesIn(ALL)).toEqual([...newSegment("s1", []).processes]);
      expect([...(await it.catalogue.streams(["00000000000000aa", "unknown"])).values()]).toEqual([
        {
          ...{ streamId: "00000000000000aa", processId: PROCESS_ID, threadId: 0 },
          ...{ startNs: DAY_NS, endedNs: last.endNs },
        },
      ]);
      expect((await it.catalogue.processes([PROCESS_ID])).get(PROCESS_ID)?.service).toBe("auth");
    });

    test("with an empty last block ends a stream where its last event is, in whatever order they come", async () => {
      await using it = await opened();
      const none = { beginNs: DAY_NS, endNs: DAY_NS, logs: 0, spans: 0 };
      const last = newBlock(2, { ...none, endWord: 200, isFinal: true });
      const endedNs = async () =>
        (await it.catalogue.streams([last.streamId])).get(last.streamId)?.endedNs;
      await it.catalogue.addSegment(newSegment("s1", [newBlock(0)]));
      await it.catalogue.addSegment(newSegment("s2", [last]));
      expect(await endedNs()).toBe(newBlock(0).endNs);
      await it.catalogue.addSegment(newSegment("s3", [newBlock(1)]));
      expect(await endedNs()).toBe(newBlock(1).endNs);
    });

    test("with thousands of blocks is one transaction", async () => {
      await using it = await opened();
      const blocks = Array.from({ length: 2_345 }, (_, i) => newBlock(i));
      expect(await it.catalogue.addSegment(newSegment("s1", blocks))).toMatchObject({ known: 0 });
      const broken = [
        ...blocks.map((_, i) => newBlock(i + 5_000)),
        { ...newBlock(1), logs: Number.NaN },
      ];
      await expect(it.catalogue.addSegment(newSegment("s2", broken))).rejects.toThrow();
      expect(await it.catalogue.hasSegment("s2")).toBeFalse();
      expect(await it.catalogue.blocksIn(ALL)).toHaveLength(2_345);
    });
  });

  describe("blocks", () => {
    test("of a range are those with an event in it", async () => {
      await using it = await opened();
      await it.catalogue.addSegment(
        newSegment(
          "s1",
          [0, 1, 2, 3].map((i) => newBlock(i)),
        ),
      );
      const range = { fromNs: DAY_NS + SECOND_NS, toNs: DAY_NS + 2n * SECOND_NS };
      expect(idsOf(await it.catalogue.blocksIn(range))).toEqual([newBlock(1).blockId]);
      const [block] = await it.catalogue.blocksIn(range);
      const { app: _, ...row } = newBlock(1);
      expect(block).toEqual({
        ...row,
        ...{ segmentId: "s1", blob: "2026-12-01/s1", insertNs: DAY_NS },
      });
    });

    test("are without a view until it has their rows; those without rows for it are not", async () => {
      await using it = await opened();
      await it.catalogue.addSegment(newSegment("s1", [newBlock(0), newBlock(1, { logs: 0 })]));
      const without = () => it.catalogue.blocksWithout("log_entries");
      expect(idsOf(await without())).toEqual([newBlock(0).blockId]);
      expect(await it.catalogue.blocksWithout("measures")).toEqual([]);
      const partition = newPartition("p1", "log_entries", DAY_NS);
      await it.catalogue.addPartitions("log_entries", [newBlock(0).blockId], [partition]);
      expect(await without()).toEqual([]);
      const { columns: _, ...kept } = partition;
      expect(await it.catalogue.partitionsIn("log_entries", ALL)).toEqual([
        { ...kept, schemaId: 1, state: "live", insertNs: DAY_NS, droppedNs: undefined },
      ]);
      const range = { fromNs: DAY_NS, toNs: DAY_NS + SECOND_NS };
      expect(idsOf(await it.catalogue.blocksWithout("spans", { range }))).toEqual([
        newBlock(0).blockId,
      ]);
    });

    test("are marked together with their partition, or neither is written", async () => {
      await using it = await opened();
      await it.catalogue.addSegment(newSegment("s1", [newBlock(0), newBlock(1)]));
      const add = (id: string, ...blocks: number[]) =>
        it.catalogue.addPartitions(
          "spans",
          blocks.map((i) => newBlock(i).blockId),
          [newPartition(`${id}a`, "spans", DAY_NS), newPartition(`${id}b`, "span_opens", DAY_NS)],
        );
      await add("p1", 0);
      await expect(add("p2", 0, 1)).rejects.toThrow(CatalogueConflictError);
      await expect(add("p3", 1, 7)).rejects.toThrow(CatalogueConflictError);
      const live = await it.catalogue.livePartitions("spans");
      expect(live.map(({ partitionId }) => partitionId)).toEqual(["p1a"]);
      expect(idsOf(await it.catalogue.blocksWithout("spans"))).toEqual([newBlock(1).blockId]);
      // Its rows were all damaged.
      await it.catalogue.addPartitions("spans", [newBlock(1).blockId], []);
      expect(await it.catalogue.blocksWithout("spans")).toEqual([]);
    });

    test("that two writers want to mark at once are marked by one of them", async () => {
      await using it = await opened();
      await it.catalogue.addSegment(newSegment("s1", [newBlock(0)]));
      const results = await Promise.allSettled(
        ["p1", "p2", "p3"].map((id) =>
          it.catalogue.addPartitions(
            "log_entries",
            [newBlock(0).blockId],
            [newPartition(id, "log_entries", DAY_NS)],
          ),
        ),
      );
      expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
      expect(await it.catalogue.livePartitions("log_entries")).toHaveLength(1);
    });

    test("are retired by the time of their last event, and leave segments that can go", async () => {
      await using it = await opened();
      await it.catalogue.addSegment(newSegment("s1", [newBlock(0), newBlock(1)]));
      await it.catalogue.addSegment(newSegment("s2", [newBlock(2)]));
      const later = DAY_NS + 1n;
      expect(await it.catalogue.retireBlocks(newBlock(0).endNs + 1n)).toBe(1);
      expect(await it.catalogue.emptySegments(later)).toEqual([]);
      expect(await it.catalogue.retireBlocks(newBlock(1).endNs + 1n)).toBe(1);
      expect(await it.catalogue.emptySegments(later)).toEqual([
        { segmentId: "s1", blob: "2026-12-01/s1" },
      ]);
      await it.catalogue.forgetSegments(["s1"]);
      expect(await it.catalogue.blobsOf(["s1", "s2"])).toEqual(new Set(["2026-12-01/s2"]));
      await it.catalogue.forgetBlocks([newBlock(2).blockId]);
      await it.catalogue.forgetProcesses(later);
      expect(await it.catalogue.processes([PROCESS_ID])).toEqual(new Map());
    });
  });

  test("totals are what there is, after all that adds and deletes", async () => {
    await using it = await opened();
    const { catalogue } = it;
    const counted = async () => {
      const [row] = await catalogue.read`
      SELECT count(*) AS blocks, coalesce(sum(logs), 0) AS logs, coalesce(sum(measures), 0) AS measures,
        coalesce(sum(metrics), 0) AS metrics, coalesce(sum(spans + opens), 0) AS spans FROM blocks`;
      const [segments] = await catalogue.read`
      SELECT count(*) AS segments, coalesce(sum(bytes), 0) AS bytes FROM segments`;
      const { bytes: segmentBytes, ...count } = segments!;
      const all = Object.entries({ ...row, ...count, segmentBytes });
      return Object.fromEntries(all.map(([name, value]) => [name, Number(value)]));
    };
    const agree = async () => expect((await catalogue.totals()) as object).toEqual(await counted());
    await agree();
    const blocks = Array.from({ length: 1_200 }, (_, i) => newBlock(i, { measures: i, opens: 1 }));
    await catalogue.addSegment(newSegment("s1", blocks.slice(0, 700)));
    await agree();
    await catalogue.addSegment(newSegment("s2", blocks.slice(600)));
    await catalogue.addSegment(newSegment("s2", blocks));
    await agree();
    await catalogue.retireBlocks(newBlock(650).endNs);
    await agree();
    await catalogue.forgetBlocks([newBlock(700).blockId, newBlock(1).blockId]);
    await agree();
    await new ViewState(catalogue, () => DAY_NS).retire(newBlock(2_000).endNs);
    expect(await catalogue.totals()).toMatchObject({ blocks: 0, logs: 0, spans: 0, segments: 2 });
    await catalogue.forgetSegments(["s1", "s2", "s3"]);
    await agree();
  });

  describe("partitions", () => {
    test("are replaced in one step, and deleted when their time has passed", async () => {
      await using it = await opened();
      const { catalogue, clock } = it;
      await catalogue.swapPartitions(
        [],
        [newPartition("p1", "spans", DAY_NS), newPartition("p2", "span_opens", DAY_NS)],
      );
      clock.nowNs += SECOND_NS;
      await catalogue.swapPartitions(["p1", "p2"], [newPartition("p3", "spans", DAY_NS)]);
      await expect(
        catalogue.swapPartitions(["p1"], [newPartition("p4", "spans", DAY_NS)]),
      ).rejects.toThrow(CatalogueConflictError);
      const [live] = await catalogue.partitionsIn("spans", ALL);
      expect(live).toMatchObject({ partitionId: "p3", state: "live" });
      expect(await catalogue.livePartitions("span_opens")).toEqual([]);
      expect(await catalogue.droppedPartitions(clock.nowNs)).toEqual([]);
      const dropped = await catalogue.droppedPartitions(clock.nowNs + 1n);
      expect(dropped.map(({ partitionId }) => partitionId).sort()).toEqual(["p1", "p2"]);
      await catalogue.forgetPartitions(["p1", "p2", "p3"]);
      expect(await catalogue.partitionFiles()).toEqual(new Set([live!.file]));
    });

    test("have the number of their columns: the same one for the same columns of a view", async () => {
      await using it = await opened();
      const { catalogue } = it;
      const add = (id: string, view: string, columns: string) =>
        catalogue.swapPartitions([], [newPartition(id, view, DAY_NS, { columns })]);
      for (const [i, columns] of ["a", "b", "a"].entries()) await add(`s${i}`, "spans", columns);
      await add("l1", "log_entries", "b");
      const numbers = async (view: string) =>
        (await catalogue.livePartitions(view)).map(({ schemaId }) => schemaId);
      expect(await numbers("spans")).toEqual([1, 2, 1]);
      expect(await numbers("log_entries")).toEqual([1]);
    });
  });

  describe("the catalogue", () => {
    test("lends a name to one holder at a time", async () => {
      await using it = await opened();
      const { catalogue, clock } = it;
      expect(await catalogue.lease("merge", "a", SECOND_NS)).toBeTrue();
      expect(await catalogue.lease("merge", "b", SECOND_NS)).toBeFalse();
      expect(await catalogue.lease("merge", "a", SECOND_NS)).toBeTrue();
      clock.nowNs += SECOND_NS;
      expect(await catalogue.lease("merge", "b", SECOND_NS)).toBeTrue();
    });

    test("keeps what a transaction beside one that is undone has written", async () => {
      await using it = await opened();
      const { promise, resolve } = Promise.withResolvers<void>();
      const undone = it.catalogue.write(async () => {
        await promise;
        throw new Error("undone");
      });
      const added = it.catalogue.addSegment(newSegment("s1", [newBlock(0)]));
      resolve();
      await expect(undone).rejects.toThrow("undone");
      expect(await added).toMatchObject({ isNew: true });
      expect(await it.catalogue.blocksIn(ALL)).toHaveLength(1);
    });

    test("is there again when it is opened again", async () => {
      await using it = await opened();
      await it.catalogue.addSegment(newSegment("s1", [newBlock(0)]));
      const again = await it.open();
      expect(await again.blocksIn(ALL)).toHaveLength(1);
      await again.close();
    });
  });
}
