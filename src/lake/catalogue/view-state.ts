// What maintenance writes down besides files: blocks that are set aside, and what was dropped for its age or for room.

import { FOREVER_NS } from "../times.ts";
import type { Catalogue } from "./catalogue.ts";
import {
  type BlockRow,
  type BlockView,
  blockOf,
  LIVE_FILE_COLUMNS,
  type LiveFile,
  liveFileOf,
  MARKS,
  type Raw,
  SET_ASIDE,
  type TimeRange,
} from "./rows.ts";
import { COUNTED_COLUMNS, takeBlocksOff } from "./totals.ts";

/** Rows that one transaction deletes: ingestion waits for no longer. */
const RETIRED_AT_ONCE = 2_000;
const EVENTS = "events";
/**
 * A sender whose event is later than this after it has come has a wrong clock, or wants to stay for longer than all
 * others: then its coming counts.
 */
const AHEAD_NS = 600_000_000_000n;
const REASON_UNITS = 500;

/** A block that a view goes without. */
export interface SetAside {
  blockId: string;
  view: string;
  reason: string;
}

/** A view with the range of a query. */
export interface WantedFiles extends TimeRange {
  view: string;
}

export class ViewState {
  readonly #catalogue: Catalogue;
  readonly #nowNs: () => bigint;

  constructor(catalogue: Catalogue, nowNs: () => bigint) {
    this.#catalogue = catalogue;
    this.#nowNs = nowNs;
  }

  /** Files of several views as they are at one moment. */
  async filesOf(wanted: readonly WantedFiles[]): Promise<LiveFile[]> {
    if (wanted.length === 0) return [];
    const conditions = wanted.map(
      (_, i) =>
        `(view_name = $${3 * i + 1} AND max_ns >= $${3 * i + 2} AND min_ns < $${3 * i + 3})`,
    );
    const rows: Raw[] = await this.#catalogue.read.unsafe(
      `SELECT ${LIVE_FILE_COLUMNS} FROM partitions WHERE state = 'live' AND (${conditions.join(" OR ")})
        ORDER BY min_ns, partition_id`,
      wanted.flatMap(({ view, fromNs, toNs }) => [view, fromNs, toNs]),
    );
    return rows.map(liveFileOf);
  }

  /** All files of a view. */
  liveFiles(view: string): Promise<LiveFile[]> {
    return this.filesOf([{ view, fromNs: 0n, toNs: FOREVER_NS }]);
  }

  /** Marks blocks as what a view goes without. Those that have gone or are in the view stay as they are. */
  setAside(view: BlockView, blocks: readonly { blockId: string; reason: string }[]): Promise<void> {
    const insertNs = this.#nowNs();
    const mark = MARKS[view];
    return this.#catalogue.write(async (tx) => {
      for (const { blockId, reason } of blocks) {
        const { count } = await tx`UPDATE blocks SET ${tx({ [mark]: SET_ASIDE })}
          WHERE ${tx(mark)} IS NULL AND block_id = ${blockId}`;
        if (count === 0) continue;
        const row = {
          ...{ block_id: blockId, view_name: view, insert_ns: insertNs },
          reason: reason.slice(0, REASON_UNITS),
        };
        await tx`INSERT INTO set_aside ${tx(row)} ON CONFLICT DO NOTHING`;
      }
    });
  }

  async blocksSetAside(limit = 100): Promise<SetAside[]> {
    const rows: Raw[] = await this.#catalogue.read`
      SELECT block_id, view_name, reason FROM set_aside ORDER BY insert_ns DESC, block_id LIMIT ${limit}`;
    return rows.map(({ block_id, view_name, reason }) => ({
      blockId: String(block_id),
      view: String(view_name),
      reason: String(reason),
    }));
  }

  /** Looks at blocks again that were set aside: this may be another version. */
  forgetSetAside(): Promise<void> {
    return this.#catalogue.write(async (tx) => {
      for (const mark of Object.values(MARKS)) {
        await tx`UPDATE blocks SET ${tx({ [mark]: null })} WHERE ${tx(mark)} = ${SET_ASIDE}`;
      }
      await tx`DELETE FROM set_aside`;
    });
  }

  /** Blocks of some streams that end in a range, have ends of spans and are not in the view. */
  async closesOf(streamIds: readonly string[], { fromNs, toNs }: TimeRange): Promise<BlockRow[]> {
    const rows: Raw[] = await this.#catalogue.read`
      SELECT b.*, s.blob FROM blocks b JOIN segments s ON s.segment_id = b.segment_id
      WHERE b.spans_partition IS NULL AND b.end_ns >= ${fromNs} AND b.end_ns < ${toNs} AND b.closes > 0
      ORDER BY b.end_ns, b.block_id`;
    // The index is that of time: by stream, all of a stream would be looked at.
    const wanted = new Set(streamIds);
    return rows.map(blockOf).filter(({ streamId }) => wanted.has(streamId));
  }

  /** Whether blocks that end after a time have ends of spans that are not in the view. */
  async hasLaterCloses(sinceNs: bigint): Promise<boolean> {
    const rows: Raw[] = await this.#catalogue.read`
      SELECT 1 AS x FROM blocks WHERE spans_partition IS NULL AND end_ns >= ${sinceNs} AND closes > 0 LIMIT 1`;
    return rows.length > 0;
  }

  /** Streams that ended after a time. One whose last block is empty ended when nobody knows. */
  async endedStreams(sinceNs: bigint): Promise<string[]> {
    const rows: Raw[] = await this.#catalogue.read`
      SELECT stream_id FROM streams WHERE ended_ns >= ${sinceNs} OR ended_ns <= start_ns`;
    return rows.map(({ stream_id }) => String(stream_id));
  }

  /** Blocks whose last event is older are in no view any more. */
  async retiredBefore(): Promise<bigint> {
    const [row]: Raw[] = await this.#catalogue.read`
      SELECT before_ns FROM retired WHERE name = ${EVENTS}`;
    return row === undefined ? 0n : BigInt(row["before_ns"] as bigint);
  }

  /**
   * Drops what is older, from the catalogue: blocks, and files of views that have nothing newer. Killed in between, it is
   * continued the next time; until then nothing older is written to views.
   */
  async retire(beforeNs: bigint): Promise<{ blocks: number; files: number }> {
    const nowNs = this.#nowNs();
    const catalogue = this.#catalogue;
    await catalogue.write(async (tx) => {
      const row = { name: EVENTS, before_ns: beforeNs };
      await tx`INSERT INTO retired ${tx(row)} ON CONFLICT (name) DO UPDATE SET before_ns = excluded.before_ns
        WHERE retired.before_ns < excluded.before_ns`;
    });
    const before = await this.retiredBefore();
    let blocks = 0;
    const old: [condition: string, values: bigint[]][] = [
      ["end_ns < $1", [before]],
      [`insert_ns < $1 AND end_ns > insert_ns + ${AHEAD_NS}`, [before]],
    ];
    for (const [condition, values] of old) {
      const sql = `DELETE FROM blocks WHERE block_id IN
        (SELECT block_id FROM blocks WHERE ${condition} LIMIT ${RETIRED_AT_ONCE})
        RETURNING ${COUNTED_COLUMNS}`;
      for (;;) {
        const deleted = await catalogue.write(async (tx) =>
          takeBlocksOff(tx, await tx.unsafe(sql, values)),
        );
        blocks += deleted;
        if (deleted < RETIRED_AT_ONCE) break;
      }
    }
    const files = await catalogue.write(async (tx) => {
      const { count } = await tx`UPDATE partitions SET state = 'dropped', dropped_ns = ${nowNs}
        WHERE state = 'live' AND (max_ns < ${before}
          OR (insert_ns < ${before} AND max_ns > insert_ns + ${AHEAD_NS}))`;
      await tx`DELETE FROM set_aside WHERE NOT EXISTS (
        SELECT 1 FROM blocks b WHERE b.block_id = set_aside.block_id)`;
      return count as number;
    });
    return { blocks, files };
  }

  /**
   * Until when, in whole units of time, all has to go so that what is left, blocks and live files, has no more than some bytes.
   * @returns 0 when there is room enough
   */
  async timeOfBytes(bytes: number, unitNs: bigint): Promise<bigint> {
    const [all]: Raw[] = await this.#catalogue.read`
      SELECT (SELECT sum(bytes) FROM segments) AS arrived,
        (SELECT sum(bytes) FROM partitions WHERE state = 'live') AS files`;
    if (Number(all!["arrived"] ?? 0) + Number(all!["files"] ?? 0) <= bytes) return 0n;
    const rows: Raw[] = await this.#catalogue.read`
      SELECT unit, sum(bytes) AS bytes FROM (
        SELECT CASE WHEN end_ns > insert_ns + ${AHEAD_NS} THEN insert_ns ELSE end_ns END / ${unitNs} AS unit,
          blob_bytes AS bytes FROM blocks
        UNION ALL SELECT CASE WHEN max_ns > insert_ns + ${AHEAD_NS} THEN insert_ns ELSE max_ns END / ${unitNs},
          bytes FROM partitions WHERE state = 'live') AS all_of_it
      GROUP BY unit ORDER BY unit DESC`;
    let sum = 0;
    for (const row of rows) {
      sum += Number(row["bytes"]);
      if (sum > bytes) return (BigInt(row["unit"] as bigint) + 1n) * unitNs;
    }
    return 0n;
  }
}
