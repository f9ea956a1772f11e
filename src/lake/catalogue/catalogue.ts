// What the lake holds: processes, streams, blocks of events, and the files of views made out of them. Ingestion adds
// segments, maintenance adds and replaces partitions, queries ask what a range needs. A block's mark and the partition
// that has its rows are written in one transaction, so each event is in a view once, whenever the lake is killed.

import type { SQL } from "bun";
import { earlierOf, FOREVER_NS, laterOf, wallNs } from "../times.ts";
import { Connection, type Reader } from "./connection.ts";
import { CatalogueConflictError, IdentityError } from "./errors.ts";
import { withOwnIds } from "./own-ids.ts";
import {
  type AddedSegment,
  BLOCK_VIEWS,
  type BlockRow,
  type BlockView,
  blockOf,
  type KnownBlock,
  LONG_BLOCK_NS,
  MARKS,
  type NewPartition,
  type NewSegment,
  NOTHING,
  type PartitionRow,
  type ProcessRow,
  partitionOf,
  processOf,
  type Raw,
  rowsFor,
  type StreamRow,
  streamOf,
  type TimeRange,
} from "./rows.ts";
import { prepareSchema } from "./schema.ts";
import { addToTotals, COUNTED_COLUMNS, readTotals, type Totals, takeBlocksOff } from "./totals.ts";

/** Values of one statement; SQLite takes 32,766. */
const ROWS_PER_STATEMENT = 500;
/** Blocks at a stream's end of which one has its last event: the others may be empty. */
const LAST_BLOCKS = 16;

/** Blocks of one segment that have come before, and are compared with what is here. */
const AGAIN_MAX = 16;

const NOTHING_NEW = { isNew: false, known: 0, conflicts: [], again: [], ownIds: [] } as const;

export class Catalogue {
  readonly #db: Connection;
  readonly #nowNs: () => bigint;

  private constructor(db: Connection, nowNs: () => bigint) {
    this.#db = db;
    this.#nowNs = nowNs;
  }

  /**
   * @param place path of the SQLite file, made if need be, or Bun's options of a PostgreSQL database
   * @throws CatalogueVersionError for the catalogue of a newer microview, CatalogueError for a file that cannot be used
   */
  static async open(place: string | object, nowNs: () => bigint = wallNs): Promise<Catalogue> {
    const db = await Connection.open(place);
    try {
      await db.write((tx) => prepareSchema(tx));
    } catch (error) {
      await db.close();
      throw error;
    }
    return new Catalogue(db, nowNs);
  }

  close(): Promise<void> {
    return this.#db.close();
  }

  /**
   * Adds a segment with its blocks; the same again changes nothing, and a block that is known stays as it is.
   * @throws IdentityError when it says that a stream is another process's, CatalogueFullError when there is no room,
   *   CatalogueBusyError when another process does not let it write
   */
  addSegment(sent: NewSegment): Promise<AddedSegment> {
    const insertNs = this.#nowNs();
    const { segmentId, blob, bytes } = sent;
    return this.#db.write(async (tx) => {
      const row = { segment_id: segmentId, blob, bytes, insert_ns: insertNs };
      const { count } = await tx`INSERT INTO segments ${tx(row)} ON CONFLICT DO NOTHING`;
      if (count === 0) return { ...NOTHING_NEW, blocks: sent.blocks.length };
      const { segment, given: ownIds } = await withOwnIds(tx, sent);
      const { blocks } = segment;
      await insertProcesses(tx, segment.processes, insertNs);
      await insertStreams(tx, segment.streams, insertNs);
      await checkIdentities(tx, segment);
      const known = await insertBlocks(tx, segment, insertNs);
      await addToTotals(tx, { segments: 1, segmentBytes: bytes });
      await endStreams(tx, blocks);
      return { isNew: true, blocks: blocks.length, ...known, ownIds };
    });
  }

  /** How much there is. */
  totals(): Promise<Totals> {
    return readTotals(this.#db.read);
  }

  /** Whether a segment has arrived. */
  async hasSegment(segmentId: string): Promise<boolean> {
    const rows = await this.#db.read`SELECT 1 AS x FROM segments WHERE segment_id = ${segmentId}`;
    return rows.length > 0;
  }

  /** Blocks whose rows a view does not have yet, by time. */
  async blocksWithout(
    view: BlockView,
    { limit = 1_000, range = ALWAYS }: { limit?: number; range?: TimeRange } = {},
  ): Promise<BlockRow[]> {
    const blocks: BlockRow[] = [];
    for (const part of partsOf(range)) {
      const rows: Raw[] = await this.#db.read.unsafe(
        `${BLOCKS} WHERE b.${MARKS[view]} IS NULL AND ${part.condition} ORDER BY b.end_ns, b.block_id LIMIT $4`,
        [...part.values, limit - blocks.length],
      );
      blocks.push(...rows.map(blockOf));
    }
    return blocks;
  }

  /** Blocks with events of a range, by time. */
  async blocksIn(range: TimeRange): Promise<BlockRow[]> {
    const blocks: BlockRow[] = [];
    for (const { condition, values } of partsOf(range)) {
      const rows: Raw[] = await this.#db.read.unsafe(`${BLOCKS} WHERE ${condition}`, values);
      blocks.push(...rows.map(blockOf));
    }
    return blocks.sort((a, b) => compare(a.beginNs, b.beginNs) || compare(a.blockId, b.blockId));
  }

  /** Processes with events in a range. */
  async processesIn(range: TimeRange): Promise<ProcessRow[]> {
    const rows = await this.#ofBlocksIn("processes", "process_id", range);
    return rows.map(processOf).sort((a, b) => compare(a.startNs, b.startNs));
  }

  /** Streams with events in a range. */
  async streamsIn(range: TimeRange): Promise<StreamRow[]> {
    const rows = await this.#ofBlocksIn("streams", "stream_id", range);
    return rows.map(streamOf).sort((a, b) => compare(a.startNs, b.startNs));
  }

  /** Streams with beginnings of spans in a range whose ends lie in other blocks. */
  async streamsWithOpens(range: TimeRange): Promise<string[]> {
    const rows = await this.#ofBlocksIn("streams", "stream_id", range, "b.opens > 0 AND ");
    return rows.map(({ stream_id }) => String(stream_id));
  }

  async #ofBlocksIn(table: string, id: string, range: TimeRange, which = ""): Promise<Raw[]> {
    const rows = new Map<unknown, Raw>();
    for (const { condition, values } of partsOf(range)) {
      const found: Raw[] = await this.#db.read.unsafe(
        `SELECT * FROM ${table} WHERE ${id} IN (SELECT b.${id} FROM blocks b WHERE ${which}${condition}) ORDER BY ${id}`,
        values,
      );
      for (const row of found) rows.set(row[id], row);
    }
    return [...rows.values()];
  }

  /** Applications of all processes. */
  async apps(): Promise<string[]> {
    const rows: Raw[] = await this.#db.read`SELECT DISTINCT app FROM processes ORDER BY app`;
    return rows.map(({ app }) => String(app));
  }

  /** By id; those that are not known are left out. */
  async processes(ids: readonly string[]): Promise<Map<string, ProcessRow>> {
    const { read } = this.#db;
    const found = new Map<string, ProcessRow>();
    for (const part of parts([...new Set(ids)])) {
      const rows: Raw[] = await read`SELECT * FROM processes WHERE process_id IN ${read(part)}`;
      for (const row of rows.map(processOf)) found.set(row.processId, row);
    }
    return found;
  }

  /** By id; those that are not known are left out. */
  async streams(ids: readonly string[]): Promise<Map<string, StreamRow>> {
    const { read } = this.#db;
    const found = new Map<string, StreamRow>();
    for (const part of parts([...new Set(ids)])) {
      const rows: Raw[] = await read`SELECT * FROM streams WHERE stream_id IN ${read(part)}`;
      for (const row of rows.map(streamOf)) found.set(row.streamId, row);
    }
    return found;
  }

  /**
   * Adds the files that were made of some blocks, and marks the blocks.
   * @param partitions none when the blocks had no rows for the view after all
   * @throws CatalogueConflictError when one of the blocks has gone or was marked meanwhile
   */
  addPartitions(
    view: BlockView,
    blockIds: readonly string[],
    partitions: readonly NewPartition[],
  ): Promise<void> {
    const insertNs = this.#nowNs();
    const mark = MARKS[view];
    return this.#db.write(async (tx) => {
      await insertPartitions(tx, partitions, insertNs);
      let marked = 0;
      for (const part of parts(blockIds)) {
        const { count } =
          await tx`UPDATE blocks SET ${tx({ [mark]: partitions[0]?.partitionId ?? NOTHING })}
            WHERE ${tx(mark)} IS NULL AND block_id IN ${tx(part)}`;
        marked += count;
      }
      expectCount(marked, blockIds.length, `blocks without ${view}`);
    });
  }

  /** The files of a view that have events of a range, by time. */
  async partitionsIn(viewName: string, { fromNs, toNs }: TimeRange): Promise<PartitionRow[]> {
    const rows: Raw[] = await this.#db.read`
      SELECT * FROM partitions
      WHERE view_name = ${viewName} AND state = 'live' AND max_ns >= ${fromNs} AND min_ns < ${toNs}
      ORDER BY min_ns, partition_id`;
    return rows.map(partitionOf);
  }

  /** The files of a view that queries see. */
  async livePartitions(viewName: string): Promise<PartitionRow[]> {
    const rows: Raw[] = await this.#db.read`
      SELECT * FROM partitions WHERE view_name = ${viewName} AND state = 'live'
      ORDER BY min_ns, partition_id`;
    return rows.map(partitionOf);
  }

  /**
   * Puts new files in the place of others, of one view or of several, in one step: a query sees the ones or the others.
   * Retention gives no new ones.
   * @throws CatalogueConflictError when one of the old ones was dropped meanwhile
   */
  swapPartitions(droppedIds: readonly string[], added: readonly NewPartition[]): Promise<void> {
    const nowNs = this.#nowNs();
    return this.#db.write(async (tx) => {
      let dropped = 0;
      for (const part of parts(droppedIds)) {
        const { count } = await tx`UPDATE partitions SET state = 'dropped', dropped_ns = ${nowNs}
          WHERE state = 'live' AND partition_id IN ${tx(part)}`;
        dropped += count;
      }
      expectCount(dropped, droppedIds.length, "live partitions");
      await insertPartitions(tx, added, nowNs);
    });
  }

  /** Files that were dropped before a time, so that no query reads them any more. */
  async droppedPartitions(beforeNs: bigint): Promise<PartitionRow[]> {
    const rows: Raw[] = await this.#db.read`
      SELECT * FROM partitions WHERE state = 'dropped' AND dropped_ns < ${beforeNs}`;
    return rows.map(partitionOf);
  }

  /** Forgets dropped files that have been deleted. */
  forgetPartitions(ids: readonly string[]): Promise<void> {
    return this.#db.write(async (tx) => {
      for (const part of parts(ids)) {
        await tx`DELETE FROM partitions WHERE state = 'dropped' AND partition_id IN ${tx(part)}`;
      }
    });
  }

  /** All files that a partition names, also dropped ones. */
  async partitionFiles(): Promise<Set<string>> {
    const rows: Raw[] = await this.#db.read`SELECT file FROM partitions`;
    return new Set(rows.map(({ file }) => String(file)));
  }

  /** Forgets blocks whose last event is older. Their rows stay in the files that have them. */
  retireBlocks(beforeNs: bigint): Promise<number> {
    return this.#db.write(async (tx) => {
      const gone = `DELETE FROM blocks WHERE end_ns < $1 RETURNING ${COUNTED_COLUMNS}`;
      return await takeBlocksOff(tx, await tx.unsafe(gone, [beforeNs]));
    });
  }

  /** Forgets blocks by id. @returns how many there were */
  forgetBlocks(ids: readonly string[]): Promise<number> {
    return this.#db.write(async (tx) => {
      let forgotten = 0;
      for (const part of parts(ids)) {
        const rows: Raw[] = await tx`DELETE FROM blocks WHERE block_id IN ${tx(part)}
          RETURNING ${tx.unsafe(COUNTED_COLUMNS)}`;
        forgotten += await takeBlocksOff(tx, rows);
      }
      return forgotten;
    });
  }

  /** Segments that arrived before a time and have no block left: their blobs can go, then {@link forgetSegments}. */
  async emptySegments(beforeNs: bigint): Promise<{ segmentId: string; blob: string }[]> {
    const rows: Raw[] = await this.#db.read`
      SELECT segment_id, blob FROM segments s WHERE insert_ns < ${beforeNs}
        AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.segment_id = s.segment_id)`;
    return rows.map(({ segment_id, blob }) => ({
      segmentId: String(segment_id),
      blob: String(blob),
    }));
  }

  forgetSegments(ids: readonly string[]): Promise<void> {
    return this.#db.write(async (tx) => {
      for (const part of parts(ids)) {
        const rows: Raw[] =
          await tx`DELETE FROM segments WHERE segment_id IN ${tx(part)} RETURNING bytes`;
        const bytes = rows.reduce((sum, row) => sum + Number(row["bytes"]), 0);
        await addToTotals(tx, { segments: -rows.length, segmentBytes: -bytes });
      }
    });
  }

  /**
   * Forgets streams and processes of which nothing is left: neither blocks nor files with events since `sinceNs`. Files may
   * have rows of blocks that are gone, and a query takes from the stream whether their spans were lost.
   */
  forgetProcesses(sinceNs: bigint): Promise<void> {
    return this.#db.write(async (tx) => {
      const [row]: Raw[] =
        await tx`SELECT min(min_ns) AS first FROM partitions WHERE state = 'live'`;
      const firstNs = BigInt((row!["first"] as bigint | null) ?? FOREVER_NS);
      // One that has not ended says nothing about its spans. Where nobody knows when it ended, no block was there then.
      await tx`DELETE FROM streams WHERE insert_ns < ${sinceNs}
        AND (ended_ns IS NULL
          OR (CASE WHEN ended_ns > start_ns THEN ended_ns ELSE insert_ns END) < ${firstNs})
        AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.stream_id = streams.stream_id)`;
      await tx`DELETE FROM processes WHERE insert_ns < ${sinceNs}
        AND NOT EXISTS (SELECT 1 FROM streams s WHERE s.process_id = processes.process_id)`;
    });
  }

  /** Where the bytes of segments lie; those that are not known are left out. */
  async blobsOf(segmentIds: readonly string[]): Promise<Set<string>> {
    const { read } = this.#db;
    const found = new Set<string>();
    for (const part of parts(segmentIds)) {
      const rows: Raw[] = await read`SELECT blob FROM segments WHERE segment_id IN ${read(part)}`;
      for (const { blob } of rows) found.add(String(blob));
    }
    return found;
  }

  /** When the last segment has come; undefined when there is none. */
  async lastSegmentNs(): Promise<bigint | undefined> {
    const [row]: Raw[] = await this.#db.read`SELECT max(insert_ns) AS last FROM segments`;
    const last = row!["last"] as bigint | null;
    return last === null ? undefined : BigInt(last);
  }

  /**
   * Takes a lease, or makes its own longer.
   * @returns false while somebody else holds it
   */
  lease(name: string, holder: string, forNs: bigint): Promise<boolean> {
    const nowNs = this.#nowNs();
    return this.#db.write(async (tx) => {
      const row = { name, holder, until_ns: nowNs + forNs };
      const { count } = await tx`INSERT INTO leases ${tx(row)}
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ns = excluded.until_ns
        WHERE leases.holder = excluded.holder OR leases.until_ns <= ${nowNs}`;
      return count > 0;
    });
  }

  /** For reports that only read. */
  get read(): Reader {
    return this.#db.read;
  }

  /** For transactions of maintenance that are none of the above; one at a time. */
  write<T>(work: (tx: SQL) => Promise<T>): Promise<T> {
    return this.#db.write(work);
  }
}

const ALWAYS: TimeRange = { fromNs: 0n, toNs: FOREVER_NS };

function compare<T extends bigint | string>(a: T, b: T): number {
  return a < b ? -1 : Number(a > b);
}

/**
 * Blocks of a range in two steps, each of which an index answers: those that end in it or soon after, and long ones. There
 * would be no end to the first otherwise, and a question about an old hour would look at all that came later.
 */
function partsOf({ fromNs, toNs }: TimeRange): { condition: string; values: bigint[] }[] {
  const soonNs = earlierOf(toNs, FOREVER_NS - LONG_BLOCK_NS) + LONG_BLOCK_NS;
  const near = {
    condition: "b.begin_ns < $1 AND b.end_ns >= $2 AND b.end_ns <= $3",
    values: [toNs, fromNs, soonNs],
  };
  if (soonNs === FOREVER_NS) return [near];
  const long = `b.end_ns - b.begin_ns >= ${LONG_BLOCK_NS}`;
  const condition = `b.begin_ns < $1 AND b.end_ns >= $2 AND b.end_ns > $3 AND ${long}`;
  return [near, { condition, values: near.values }];
}

const BLOCKS = "SELECT b.*, s.blob FROM blocks b JOIN segments s ON s.segment_id = b.segment_id";

async function insertProcesses(
  tx: SQL,
  processes: readonly ProcessRow[],
  insertNs: bigint,
): Promise<void> {
  for (const part of parts(processes)) {
    const rows = part.map((each) => ({
      process_id: each.processId,
      app: each.app,
      service: each.service,
      pid: each.pid,
      host: each.host,
      user_name: each.user,
      exe: each.exe,
      runtime: each.runtime,
      start_ns: each.startNs,
      properties: JSON.stringify(each.properties),
      insert_ns: insertNs,
    }));
    await tx`INSERT INTO processes ${tx(rows)} ON CONFLICT DO NOTHING`;
  }
}

async function insertStreams(
  tx: SQL,
  streams: NewSegment["streams"],
  insertNs: bigint,
): Promise<void> {
  for (const part of parts(streams)) {
    const rows = part.map((each) => ({
      stream_id: each.streamId,
      process_id: each.processId,
      thread_id: each.threadId,
      start_ns: each.startNs,
      insert_ns: insertNs,
    }));
    await tx`INSERT INTO streams ${tx(rows)} ON CONFLICT DO NOTHING`;
  }
}

/** @throws IdentityError when a stream is another process's */
async function checkIdentities(tx: SQL, { streams }: NewSegment): Promise<void> {
  const processOfStream = new Map(streams.map((each) => [each.streamId, each.processId]));
  for (const part of parts([...processOfStream.keys()])) {
    const rows: Raw[] =
      await tx`SELECT stream_id, process_id FROM streams WHERE stream_id IN ${tx(part)}`;
    for (const { stream_id, process_id } of rows) {
      const given = processOfStream.get(String(stream_id));
      if (given !== process_id)
        throw new IdentityError(`stream ${stream_id} is of another process than ${given}`);
    }
  }
}

async function insertBlocks(
  tx: SQL,
  { segmentId, blocks }: NewSegment,
  insertNs: bigint,
): Promise<Pick<AddedSegment, "known" | "conflicts" | "again">> {
  let inserted = 0;
  const conflicts: string[] = [];
  const again: KnownBlock[] = [];
  for (const part of parts(blocks)) {
    const rows = part.map((each) => ({
      block_id: each.blockId,
      stream_id: each.streamId,
      process_id: each.processId,
      segment_id: segmentId,
      blob_offset: each.blobOffset,
      blob_bytes: each.blobBytes,
      first_word: each.firstWord,
      end_word: each.endWord,
      begin_ns: each.beginNs,
      end_ns: each.endNs,
      logs: each.logs,
      measures: each.measures,
      metrics: each.metrics,
      spans: each.spans,
      opens: each.opens,
      closes: each.closes,
      is_final: each.isFinal ? 1 : 0,
      insert_ns: insertNs,
      ...Object.fromEntries(
        BLOCK_VIEWS.map((view) => [MARKS[view], rowsFor(view, each) > 0 ? null : NOTHING]),
      ),
    }));
    const added: Raw[] =
      await tx`INSERT INTO blocks ${tx(rows)} ON CONFLICT DO NOTHING RETURNING block_id`;
    inserted += added.length;
    const ids = new Set(added.map(({ block_id }) => String(block_id)));
    await addBlocks(
      tx,
      part.filter(({ blockId }) => ids.has(blockId)),
    );
    if (added.length === part.length) continue;
    const sent = new Map(
      part.filter(({ blockId }) => !ids.has(blockId)).map((each) => [each.blockId, each]),
    );
    const there: Raw[] = await tx.unsafe(
      `${BLOCKS} WHERE b.block_id IN (${[...sent.keys()].map((_, i) => `$${i + 1}`).join(", ")})`,
      [...sent.keys()],
    );
    for (const { blockId, blob, endWord, blobOffset, blobBytes } of there.map(blockOf)) {
      const one = sent.get(blockId)!;
      if (one.endWord !== endWord || one.blobBytes !== blobBytes) conflicts.push(blockId);
      else if (again.length < AGAIN_MAX)
        again.push({ blockId, blob, blobOffset, blobBytes, sentOffset: one.blobOffset });
    }
  }
  return { known: blocks.length - inserted, conflicts, again };
}

/**
 * Writes down when streams ended: the last event of a stream may be in a block before the final one, which is often empty,
 * and may come after it.
 */
async function endStreams(tx: SQL, blocks: NewSegment["blocks"]): Promise<void> {
  for (const [streamId, ofStream] of Map.groupBy(blocks, (block) => block.streamId)) {
    const endNs = ofStream.map((block) => block.endNs).reduce(laterOf);
    await tx`UPDATE streams SET ended_ns = ${endNs} WHERE stream_id = ${streamId} AND ended_ns < ${endNs}`;
    if (!ofStream.some(({ isFinal }) => isFinal)) continue;
    // Not of all blocks: there may be millions.
    const [row]: Raw[] = await tx`SELECT max(end_ns) AS last FROM (
      SELECT end_ns FROM blocks WHERE stream_id = ${streamId} ORDER BY first_word DESC LIMIT ${LAST_BLOCKS}) AS newest`;
    const last = laterOf(endNs, BigInt((row!["last"] as bigint | null) ?? endNs));
    await tx`UPDATE streams SET ended_ns = ${last} WHERE stream_id = ${streamId} AND ended_ns IS NULL`;
  }
}

async function addBlocks(tx: SQL, blocks: NewSegment["blocks"]): Promise<void> {
  const sum = (count: (block: NewSegment["blocks"][number]) => number) =>
    blocks.reduce((all, block) => all + count(block), 0);
  await addToTotals(tx, {
    blocks: blocks.length,
    logs: sum(({ logs }) => logs),
    measures: sum(({ measures }) => measures),
    metrics: sum(({ metrics }) => metrics),
    spans: sum(({ spans, opens }) => spans + opens),
  });
}

async function insertPartitions(
  tx: SQL,
  partitions: readonly NewPartition[],
  insertNs: bigint,
): Promise<void> {
  const schemaIds = await schemaIdsOf(tx, partitions);
  for (const part of parts(partitions)) {
    const rows = part.map((each) => ({
      partition_id: each.partitionId,
      view_name: each.viewName,
      file: each.file,
      day: each.day,
      min_ns: each.minNs,
      max_ns: each.maxNs,
      row_count: each.rows,
      bytes: each.bytes,
      schema_id: schemaIds.get(schemaKey(each)),
      bounds: JSON.stringify(each.bounds),
      state: "live",
      insert_ns: insertNs,
    }));
    await tx`INSERT INTO partitions ${tx(rows)}`;
  }
}

function schemaKey({ viewName, columns }: NewPartition): string {
  return `${viewName} ${columns}`;
}

/** The numbers of the columns that files have; columns of which there is no file yet get the view's next one. */
async function schemaIdsOf(
  tx: SQL,
  partitions: readonly NewPartition[],
): Promise<Map<string, number>> {
  const ids = new Map<string, number>();
  for (const [key, [partition]] of Map.groupBy(partitions, schemaKey)) {
    const { viewName, columns } = partition!;
    await tx`INSERT INTO schemas (view_name, schema_id, columns)
      SELECT ${viewName}, coalesce(max(schema_id), 0) + 1, ${columns}
      FROM schemas WHERE view_name = ${viewName}
      ON CONFLICT (view_name, columns) DO NOTHING`;
    const [row]: Raw[] = await tx`SELECT schema_id FROM schemas
      WHERE view_name = ${viewName} AND columns = ${columns}`;
    ids.set(key, Number(row!["schema_id"]));
  }
  return ids;
}

function expectCount(count: number, expected: number, what: string): void {
  if (count === expected) return;
  throw new CatalogueConflictError(
    `${expected} ${what} were expected, and ${count} are there: others have changed them`,
  );
}

function* parts<T>(all: readonly T[]): Generator<T[]> {
  for (let at = 0; at < all.length; at += ROWS_PER_STATEMENT) {
    yield all.slice(at, at + ROWS_PER_STATEMENT);
  }
}
