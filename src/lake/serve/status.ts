// What a lake holds and how far its views are: one answer for `microview lake status`, and its numbers for /metrics.

import { BLOCK_VIEWS, type Catalogue, COUNTS, MARKS } from "../catalogue/index.ts";
import type { LakeCounters } from "../counters.ts";
import { isoTime, NS_PER_MS, wallNs } from "../times.ts";

/** A stream that has not ended and was heard of so recently is alive. */
const ALIVE_NS = 300_000_000_000n;
/** The answer is so new at least; it is asked for by people and scrapers alike. */
const FRESH_MS = 1_000;
/** Blocks that wait for a view, as far as they are counted. */
const COUNTED_MAX = 10_000;

/** A view's files, and what waits to become some. Times are RFC 3339. */
export interface ViewStatus {
  view: string;
  files: number;
  rows: number;
  bytes: number;
  oldest: string | null;
  newest: string | null;
  /** Of views that are made of blocks: those that are in no file yet. Spans wait until they are asked for. */
  waiting: {
    blocks: number;
    rows: number;
    /** There are so many that the others were not counted. */
    isMore: boolean;
    oldestMs: number;
  } | null;
  /** Blocks that the view goes without, because they cannot be read or written. */
  setAside: number;
}

export interface LakeStatus {
  version: string;
  startedAt: string;
  /** What the blocks hold that are kept. */
  events: { logs: number; measures: number; metrics: number; spans: number };
  blocks: number;
  /** As they arrived. */
  segments: { count: number; bytes: number };
  /** Oldest and newest event of the blocks that are kept. */
  oldest: string | null;
  newest: string | null;
  /** When the last block has come. */
  lastBlock: string | null;
  processes: number;
  streams: { all: number; alive: number };
  views: ViewStatus[];
  /** What keeps views from being made now. */
  problems: string[];
  /** Since the lake was started. */
  since: {
    segments: number;
    bytes: number;
    again: number;
    /** Blocks whose end was another one when they came again: what goes beyond is lost. */
    conflicts: number;
    refused: Record<string, number>;
    rejected: Record<string, number>;
  };
}

type Row = Readonly<Record<string, unknown>>;

export class StatusReport {
  readonly #catalogue: Catalogue;
  readonly #counters: LakeCounters;
  readonly #about: Pick<LakeStatus, "version" | "startedAt">;
  readonly #problems: () => string[];
  #last: Promise<LakeStatus> | undefined;
  #lastAtMs = 0;

  constructor(
    catalogue: Catalogue,
    counters: LakeCounters,
    about: Pick<LakeStatus, "version" | "startedAt">,
    problems: () => string[],
  ) {
    this.#catalogue = catalogue;
    this.#counters = counters;
    this.#about = about;
    this.#problems = problems;
  }

  /** Of a second ago at most. */
  now(): Promise<LakeStatus> {
    const nowMs = performance.now();
    if (this.#last === undefined || nowMs - this.#lastAtMs > FRESH_MS) {
      this.#lastAtMs = nowMs;
      this.#last = this.#read();
      this.#last.catch(() => (this.#last = undefined));
    }
    return this.#last;
  }

  async #read(): Promise<LakeStatus> {
    const { read } = this.#catalogue;
    const nowNs = wallNs();
    const totals = await this.#catalogue.totals();
    const [oldest]: Row[] = await read`SELECT begin_ns AS ns FROM blocks ORDER BY end_ns LIMIT 1`;
    const [newest] = (await read`SELECT max(end_ns) AS ns FROM blocks`) as [Row];
    const [last] = (await read`SELECT max(insert_ns) AS ns FROM blocks`) as [Row];
    const [processes] = (await read`SELECT count(*) AS n FROM processes`) as [Row];
    const [streams] = (await read`SELECT count(*) AS n FROM streams`) as [Row];
    const [alive] = (await read`
      SELECT count(*) AS n FROM streams WHERE ended_ns IS NULL AND stream_id IN
        (SELECT stream_id FROM blocks WHERE insert_ns > ${nowNs - ALIVE_NS})`) as [Row];
    const counters = this.#counters;
    return {
      ...this.#about,
      events: {
        ...{ logs: totals.logs, measures: totals.measures },
        ...{ metrics: totals.metrics, spans: totals.spans },
      },
      blocks: totals.blocks,
      segments: { count: totals.segments, bytes: totals.segmentBytes },
      oldest: time(oldest?.["ns"]),
      newest: time(newest["ns"]),
      lastBlock: time(last["ns"]),
      processes: number(processes["n"]),
      streams: { all: number(streams["n"]), alive: number(alive["n"]) },
      views: await this.#views(nowNs),
      problems: this.#problems(),
      since: {
        segments: counters.segments,
        bytes: counters.segmentBytes,
        again: counters.segmentsKnown,
        conflicts: counters.blockConflicts,
        refused: Object.fromEntries(counters.refusals),
        rejected: Object.fromEntries(counters.rejected),
      },
    };
  }

  async #views(nowNs: bigint): Promise<ViewStatus[]> {
    const { read } = this.#catalogue;
    const views = new Map<string, ViewStatus>();
    for (const view of BLOCK_VIEWS) views.set(view, blankView(view));
    const files: Row[] = await read`
      SELECT view_name, count(*) AS files, sum(row_count) AS n, sum(bytes) AS bytes,
        min(min_ns) AS oldest, max(max_ns) AS newest
      FROM partitions WHERE state = 'live' GROUP BY view_name ORDER BY view_name`;
    for (const row of files) {
      const view = String(row["view_name"]);
      views.set(view, {
        view,
        files: number(row["files"]),
        rows: number(row["n"]),
        bytes: number(row["bytes"]),
        oldest: time(row["oldest"]),
        newest: time(row["newest"]),
        ...{ waiting: null, setAside: 0 },
      });
    }
    const setAside: Row[] =
      await read`SELECT view_name, count(*) AS n FROM set_aside GROUP BY view_name`;
    for (const row of setAside) {
      const view = views.get(String(row["view_name"]));
      if (view !== undefined) view.setAside = number(row["n"]);
    }
    for (const view of BLOCK_VIEWS) {
      const [row] = (await read.unsafe(
        `SELECT count(*) AS blocks, sum(n) AS n, min(insert_ns) AS oldest FROM (
          SELECT ${COUNTS[view].join(" + ")} AS n, insert_ns FROM blocks WHERE ${MARKS[view]} IS NULL
          ORDER BY insert_ns LIMIT ${COUNTED_MAX + 1}) AS waiting`,
      )) as [Row];
      const oldest = row["oldest"] as bigint | null;
      const blocks = number(row["blocks"]);
      views.get(view)!.waiting = {
        ...{ blocks: Math.min(blocks, COUNTED_MAX), isMore: blocks > COUNTED_MAX },
        rows: number(row["n"]),
        oldestMs: oldest === null ? 0 : Math.max(0, Number((nowNs - BigInt(oldest)) / NS_PER_MS)),
      };
    }
    return [...views.values()];
  }
}

function blankView(view: string): ViewStatus {
  return {
    view,
    files: 0,
    rows: 0,
    bytes: 0,
    oldest: null,
    newest: null,
    waiting: null,
    setAside: 0,
  };
}

/** A sum of no rows is null. */
function number(value: unknown): number {
  return Number(value ?? 0);
}

function time(ns: unknown): string | null {
  return ns === null || ns === undefined ? null : isoTime(BigInt(ns as bigint));
}
