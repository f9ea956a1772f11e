// Reads the blocks of a recording out of its Parquet file, through DuckDB.

import type { Database, DuckDBConnection } from "../../duckdb/index.ts";
import { RECORDING_VERSION, type SnapshotDetail } from "./format.ts";
import { ParquetFileError } from "./parquet-file.ts";

const MAX_BLOCKS = 1 << 20;
/** 1.3 GB while they are sorted; our own have half a million, or four times as many as a pool has slots. */
const MAX_BLOCK_ROWS = 1 << 25;
const MAX_POOLS = 10_000;
const MAX_BLOCK_SNAPSHOTS = 1 << 22;

/** Where a block is, and when. */
interface BlockPlace {
  block: number;
  firstUs: number;
  lastUs: number;
  snapshots: number;
  rows: number;
}

/** A read of a pool. */
export interface SnapshotRow {
  timeUs: number;
  source: string;
  app: string;
  sequence: number;
  generation: number;
  monotonicNs: number;
  readMs: number;
  latenessMs: number;
  missed: number;
  gap: string | undefined;
}

/** A series that is there from a snapshot on. */
export interface SeriesRow {
  series: number;
  snapshot: number;
  /** What it is; undefined where none of a block's had to be told. */
  named: SeriesName | undefined;
}

/** What a series is. */
export interface SeriesName {
  source: string;
  app: string;
  service: string;
  metric: string;
  kind: string;
  unit: string;
  labels: string;
  writer: number | undefined;
  pid: number | undefined;
  thread: number | undefined;
  definition: string;
}

/** A block, with its values in the order of their snapshots. */
export interface BlockRows {
  snapshots: SnapshotRow[];
  /** In the order of their snapshots. */
  series: SeriesRow[];
  rows: {
    /** Where the values of each snapshot begin; one more, where they end. */
    starts: Int32Array;
    series: Int32Array;
    slots: Int32Array;
    values: Float64Array;
  };
}

type Plain = string | number | bigint | null;

export class BlockReader {
  private constructor(
    readonly database: Database,
    readonly file: string,
    readonly blocks: readonly BlockPlace[],
    /** Of the first block and the last. */
    readonly pools: readonly { source: string; app: string }[],
    /** Writers were recorded by themselves. */
    readonly perWriter: boolean,
  ) {}

  /** @param file a path without a quote, to which the database has access */
  static async open(database: Database, file: string): Promise<BlockReader> {
    const { connection } = database;
    // Each block is asked for by itself: the footer, which is long, is read once.
    await connection.run("SET parquet_metadata_cache = true");
    const [version] = await query(
      connection,
      `SELECT decode(value)::VARCHAR FROM parquet_kv_metadata('${file}') WHERE decode(key) = 'microview'`,
    );
    if (version?.[0] !== RECORDING_VERSION) {
      throw new ParquetFileError(
        version === undefined
          ? "it is a Parquet file, but no recording of `microview collect --out`"
          : `it is of version ${version[0]}, this program reads version ${RECORDING_VERSION}`,
      );
    }
    const blocks =
      (await blocksByFooter(connection, file)) ?? (await blocksByRows(connection, file));
    if (blocks.length === 0) throw new ParquetFileError("it is empty");
    if (blocks.length > MAX_BLOCKS) throw new RangeError(`it has more than ${MAX_BLOCKS} blocks`);
    for (const { block, snapshots, rows } of blocks) {
      if (rows > MAX_BLOCK_ROWS || snapshots > MAX_BLOCK_SNAPSHOTS || snapshots === 0) {
        throw new RangeError(`block ${block} has ${rows} rows, of ${snapshots} snapshots`);
      }
    }
    // Agents are read from the beginning to the end; those between would take a look at all of it.
    const pools = await query(
      connection,
      `SELECT DISTINCT source, app FROM read_parquet('${file}')
       WHERE part = 'snapshot' AND block IN (${blocks[0]!.block}, ${blocks.at(-1)!.block})
       ORDER BY ALL LIMIT ${MAX_POOLS + 1}`,
    );
    if (pools.length > MAX_POOLS) throw new RangeError(`it has more than ${MAX_POOLS} pools`);
    const columns = await query(
      connection,
      `SELECT column_name FROM (DESCRIBE FROM read_parquet('${file}')) WHERE column_name = 'writer'`,
    );
    return new BlockReader(
      database,
      file,
      blocks,
      pools.map(([source, app]) => ({ source: text(source), app: text(app) })),
      columns.length > 0,
    );
  }

  /** @param isKnown says of a series by its number that its name need not be read again */
  async read(
    { block, snapshots: count, rows }: BlockPlace,
    isKnown: (series: number) => boolean,
  ): Promise<BlockRows> {
    const snapshots = await this.#snapshots(block, count);
    const series = await this.#series(block, isKnown);
    return { snapshots, series, rows: await this.#rows(block, count, rows) };
  }

  close(): void {
    this.database.close();
  }

  async #snapshots(block: number, count: number): Promise<SnapshotRow[]> {
    const found = await query(
      this.database.connection,
      `SELECT snapshot, epoch_us(time), source, app, missed, lateness_ms, detail
       FROM read_parquet('${this.file}') WHERE block = ${block} AND part = 'snapshot' ORDER BY snapshot`,
    );
    if (found.length !== count) {
      throw new RangeError(`block ${block} has ${found.length} snapshots instead of ${count}`);
    }
    return found.map((row, i) => {
      if (Number(row[0]) !== i) throw new RangeError(`block ${block} lacks snapshot ${i}`);
      const detail = JSON.parse(text(row[6])) as Partial<SnapshotDetail>;
      return {
        timeUs: number(row[1]),
        source: text(row[2]),
        app: text(row[3]),
        missed: number(row[4]),
        latenessMs: number(row[5]),
        sequence: number(detail.sequence),
        generation: number(detail.generation),
        monotonicNs: number(detail.monotonicNs),
        readMs: number(detail.readMs),
        gap: detail.gap === undefined ? undefined : text(detail.gap),
      };
    });
  }

  /** Names take long to read, and most blocks have the series of the block before. */
  async #series(block: number, isKnown: (series: number) => boolean): Promise<SeriesRow[]> {
    const { connection } = this.database;
    const from = `FROM read_parquet('${this.file}') WHERE block = ${block} AND part = 'series' ORDER BY snapshot, series`;
    const found = await query(connection, `SELECT series, snapshot ${from}`);
    const rows = found.map(
      (row): SeriesRow => ({ series: number(row[0]), snapshot: number(row[1]), named: undefined }),
    );
    if (rows.every(({ series }) => isKnown(series))) return rows;
    const writer = this.perWriter ? ", writer, pid, thread" : "";
    const names = await query(
      connection,
      `SELECT source, app, service, metric, kind, unit, labels, detail ${writer} ${from}`,
    );
    const optional = (value: Plain | undefined) => (value == null ? undefined : number(value));
    for (const [i, row] of names.entries()) {
      rows[i]!.named = {
        source: text(row[0]),
        app: text(row[1]),
        service: text(row[2]),
        metric: text(row[3]),
        kind: text(row[4]),
        unit: text(row[5]),
        labels: text(row[6]),
        definition: text(row[7]),
        writer: optional(row[8]),
        pid: optional(row[9]),
        thread: optional(row[10]),
      };
    }
    return rows;
  }

  /** They lie by series; a replay goes by snapshot. */
  async #rows(block: number, snapshotCount: number, rowCount: number): Promise<BlockRows["rows"]> {
    const { connection, bindings } = this.database;
    const result = await connection.stream(
      `SELECT coalesce(series, -1)::INTEGER, coalesce(slot, -1)::INTEGER, coalesce(snapshot, -1)::INTEGER,
         coalesce(value, 'nan')::DOUBLE
       FROM read_parquet('${this.file}') WHERE block = ${block} AND part NOT IN ('snapshot', 'series')`,
    );
    const series = new Int32Array(rowCount);
    const slots = new Int32Array(rowCount);
    const snapshots = new Int32Array(rowCount);
    const values = new Float64Array(rowCount);
    let count = 0;
    for (let chunk = await result.fetchChunk(); chunk; chunk = await result.fetchChunk()) {
      const size = chunk.rowCount;
      if (size === 0) break;
      if (count + size > rowCount) throw new RangeError(`block ${block} grows while it is read`);
      for (const [i, column] of [series, slots, snapshots, values].entries()) {
        const vector = bindings.data_chunk_get_vector(chunk.chunk, i);
        const data = bindings.vector_get_data(vector, size * column.BYTES_PER_ELEMENT);
        new Uint8Array(column.buffer, count * column.BYTES_PER_ELEMENT).set(data);
      }
      count += size;
    }
    const starts = new Int32Array(snapshotCount + 2);
    for (let i = 0; i < count; i++) {
      const snapshot = snapshots[i]!;
      if (snapshot < 0 || snapshot >= snapshotCount) {
        throw new RangeError(
          `block ${block} has a value of snapshot ${snapshot}, which is not there`,
        );
      }
      starts[snapshot + 2]!++;
    }
    for (let i = 2; i < starts.length; i++) starts[i]! += starts[i - 1]!;
    const sorted = {
      starts: starts.subarray(0, snapshotCount + 1),
      series: new Int32Array(count),
      slots: new Int32Array(count),
      values: new Float64Array(count),
    };
    for (let i = 0; i < count; i++) {
      const to = starts[snapshots[i]! + 1]!++;
      sorted.series[to] = series[i]!;
      sorted.slots[to] = slots[i]!;
      sorted.values[to] = values[i]!;
    }
    return sorted;
  }
}

/** Where the blocks are, by what the footer says of each row group; undefined where those are others than the blocks. */
async function blocksByFooter(
  connection: DuckDBConnection,
  file: string,
): Promise<BlockPlace[] | undefined> {
  const of = (column: string, what: string) => `max(${what}) FILTER (path_in_schema = '${column}')`;
  const time = (what: string) => `epoch_us(TRY_CAST(${of("time", what)} AS TIMESTAMPTZ))`;
  const found = await query(
    connection,
    `SELECT TRY_CAST(${of("block", "stats_min_value")} AS INTEGER), TRY_CAST(${of("block", "stats_max_value")} AS INTEGER),
       ${time("stats_min_value")}, ${time("stats_max_value")},
       max(row_group_num_rows) - ${of("missed", "stats_null_count")}, max(row_group_num_rows)
     FROM parquet_metadata('${file}') GROUP BY row_group_id ORDER BY row_group_id LIMIT ${MAX_BLOCKS + 1}`,
  );
  const seen = new Set<number>();
  const blocks: BlockPlace[] = [];
  for (const row of found) {
    if (row.includes(null) || row[0] !== row[1] || seen.has(Number(row[0]))) return undefined;
    const [block, , firstUs, lastUs, snapshots, rows] = row.map(Number) as [
      ...[number, number, number, number, number, number],
    ];
    seen.add(block);
    blocks.push({ block, firstUs, lastUs, snapshots, rows });
  }
  return blocks.sort((a, b) => a.block - b.block);
}

/** The same by its rows, of a file that others have rewritten. */
async function blocksByRows(connection: DuckDBConnection, file: string): Promise<BlockPlace[]> {
  const found = await query(
    connection,
    `SELECT block, min(epoch_us(time)) FILTER (part = 'snapshot'), max(epoch_us(time)) FILTER (part = 'snapshot'),
       count(*) FILTER (part = 'snapshot'), count(*)
     FROM read_parquet('${file}') GROUP BY block ORDER BY block LIMIT ${MAX_BLOCKS + 1}`,
  );
  return found.map((row) => {
    const [block, firstUs, lastUs, snapshots, rows] = row.map(number) as [
      ...[number, number, number, number, number],
    ];
    return { block, firstUs, lastUs, snapshots, rows };
  });
}

async function query(connection: DuckDBConnection, sql: string): Promise<Plain[][]> {
  const result = await connection.runAndReadAll(sql);
  return result.getRows() as Plain[][];
}

function text(value: Plain | undefined): string {
  if (typeof value !== "string") throw new RangeError("a text is missing");
  return value;
}

function number(value: Plain | undefined): number {
  const found = typeof value === "bigint" ? Number(value) : value;
  if (typeof found !== "number" || !Number.isFinite(found))
    throw new RangeError("a number is missing");
  return found;
}
