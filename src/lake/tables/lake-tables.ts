// What a query reads: for the tables that it names and its range, the files and rows that they are made of. Missing files
// are made first. The query's process gets nothing else (src/lake/query).

import { join } from "node:path";
import {
  BLOCK_VIEWS,
  type BlockRow,
  type Catalogue,
  type ProcessRow,
  type StreamRow,
  type TimeRange,
  type ViewState,
} from "../catalogue/index.ts";
import { FOREVER_NS } from "../times.ts";
import type { FileView, Materializer } from "../views/index.ts";
import type { PinnedFiles } from "./pinned-files.ts";
import {
  createTableSql,
  describeTables,
  ENDED_STREAMS,
  FILES_OF,
  needsEndedStreams,
  type ReadFiles,
  ROW_TABLES,
  type RowTableName,
  rowsName,
  TABLES,
  type Table,
} from "./table-sql.ts";

/** Times of events in nanoseconds since 1970; left out: without a limit. */
interface OpenRange {
  fromNs?: bigint;
  /** Exclusive. */
  toNs?: bigint;
}

interface RowsOfTable {
  name: string;
  /** Types of DuckDB by the names of the columns. */
  columns: Readonly<Record<string, string>>;
  /** Values that JSON has, and integers as text; one that is left out is NULL. */
  rows: readonly Readonly<Record<string, unknown>>[];
}

export interface OpenedTables {
  /** By absolute path. They stay until `close`. */
  files: readonly string[];
  rows: readonly RowsOfTable[];
  /** SQL that makes the tables out of these. */
  statements: readonly string[];
  close(): void;
}

interface LakeTablesParts {
  /** The lake's folder. */
  dir: string;
  catalogue: Catalogue;
  state: ViewState;
  materializer: Materializer;
  pinned: PinnedFiles;
}

export class LakeTables {
  readonly names: readonly string[] = TABLES;
  readonly descriptions = describeTables();
  readonly #parts: LakeTablesParts;

  constructor(parts: LakeTablesParts) {
    this.#parts = parts;
  }

  /** @param allows says of which applications rows are there; undefined: of all */
  seenBy(allows: ((app: string) => boolean) | undefined): Pick<LakeTables, "names" | "open"> {
    if (allows === undefined) return this;
    return {
      names: this.names,
      open: async (names, range, signal) => {
        const apps = await this.#parts.catalogue.apps();
        return this.open(names, range, signal, apps.filter(allows));
      },
    };
  }

  /**
   * @param names of tables, in lower case
   * @param apps of which there are rows; undefined: all
   * @throws ViewFailedError, or the signal's reason when the caller has gone
   */
  async open(
    names: readonly string[],
    { fromNs = 0n, toNs = FOREVER_NS }: OpenRange,
    signal: AbortSignal,
    apps?: readonly string[],
  ): Promise<OpenedTables> {
    const range = { fromNs, toNs };
    const tables = TABLES.filter((table) => names.includes(table));
    const views = new Set(tables.flatMap((table) => FILES_OF[table]));
    const { dir, materializer, state, pinned } = this.#parts;
    for (const view of BLOCK_VIEWS) {
      if (views.has(view)) await materializer.ensure(view, range, signal);
    }
    // In one look: a file that is put in the place of others is seen, or they are.
    const found = await state.filesOf(
      [...views].map((view) => ({
        view,
        fromNs,
        // What began in the range may end at any time.
        toNs: view === "span_closes" ? FOREVER_NS : toNs,
      })),
    );
    const release = pinned.pin(found.map(({ file }) => file));
    try {
      const files: Partial<Record<FileView, ReadFiles>> = {};
      for (const [view, ofView] of Map.groupBy(found, ({ viewName }) => viewName as FileView)) {
        files[view] = {
          paths: ofView.map(({ file }) => join(dir, file)),
          areInside: ofView.every(({ minNs, maxNs }) => minNs >= fromNs && maxNs < toNs),
          areAlike: ofView.every(({ schemaId }) => schemaId === ofView[0]!.schemaId),
        };
      }
      // Without beginnings there is nothing to look for.
      if (files.span_opens === undefined) delete files.span_closes;
      const rows = await Promise.all(
        tables.filter(isRowTable).map((name) => this.#rows(name, range, apps)),
      );
      const needsEnded = files.span_opens !== undefined && tables.some(needsEndedStreams);
      return {
        files: Object.values(files).flatMap(({ paths }) => paths),
        rows: needsEnded ? [...rows, await this.#endedStreams(range)] : rows,
        statements: tables.map((table) => createTableSql(table, files, range, apps)),
        close: release,
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  async #rows(
    table: RowTableName,
    range: TimeRange,
    apps: readonly string[] | undefined,
  ): Promise<RowsOfTable> {
    const { catalogue } = this.#parts;
    const processes = (await catalogue.processesIn(range)).filter(
      ({ app }) => apps === undefined || apps.includes(app),
    );
    const ids = new Set(processes.map(({ processId }) => processId));
    const isSeen = ({ processId }: { processId: string }) => ids.has(processId);
    const rows = {
      processes: async () => processes.map(processValues),
      streams: async () => (await catalogue.streamsIn(range)).filter(isSeen).map(streamValues),
      blocks: async () => (await catalogue.blocksIn(range)).filter(isSeen).map(blockValues),
    };
    return { name: rowsName(table), columns: ROW_TABLES[table], rows: await rows[table]() };
  }

  async #endedStreams(range: TimeRange): Promise<RowsOfTable> {
    const streams = await this.#parts.state.endedStreams(range.fromNs);
    return {
      name: ENDED_STREAMS,
      columns: { stream_id: "VARCHAR" },
      rows: streams.map((streamId) => ({ stream_id: streamId })),
    };
  }
}

function isRowTable(table: Table): table is RowTableName {
  return table in ROW_TABLES;
}

type Values<T extends RowTableName> = Readonly<Record<keyof (typeof ROW_TABLES)[T], unknown>>;

function processValues(row: ProcessRow): Values<"processes"> {
  return {
    ...{ process_id: row.processId, app: row.app, service: row.service, pid: row.pid },
    ...{ host: row.host, user_name: row.user, exe: row.exe, runtime: row.runtime },
    ...{ start_ns: String(row.startNs), properties: row.properties },
  };
}

function streamValues(row: StreamRow): Values<"streams"> {
  return {
    ...{ stream_id: row.streamId, process_id: row.processId, thread: row.threadId },
    start_ns: String(row.startNs),
    end_ns: row.endedNs === undefined ? null : String(row.endedNs),
  };
}

function blockValues(row: BlockRow): Values<"blocks"> {
  const { logs, measures, metrics, spans, opens, closes } = row;
  return {
    ...{ block_id: row.blockId, stream_id: row.streamId, process_id: row.processId },
    ...{ begin_ns: String(row.beginNs), end_ns: String(row.endNs) },
    ...{ insert_ns: String(row.insertNs), bytes: row.blobBytes },
    ...{ logs, measures, metrics, spans, opens, closes, is_final: row.isFinal },
  };
}
