// Makes one row group out of a block's rows, as a whole Parquet file in memory.

import { Database } from "../duckdb/index.ts";
import { MemoryFile } from "../ffi/index.ts";
import { BLOCK_TABLES, blockCopy, TABLES } from "./format.ts";
import type { Block, Rows, SeriesNews, SnapshotColumns } from "./worker-protocol.ts";

const MEMORY_BYTES = 1.5e9;

export class BlockWriter {
  /** Blocks so far. */
  #blocks = 0;
  /** By number. */
  readonly #series: SeriesNews[] = [];
  /** Series of each cell, by number. */
  #seriesOfCell = new Int32Array(1024);
  #cells = 0;

  private constructor(
    readonly database: Database,
    readonly part: MemoryFile,
  ) {}

  /** @throws DuckDbMissingError */
  static async open(): Promise<BlockWriter> {
    const part = MemoryFile.create("microview-part");
    const database = await Database.open({
      threads: 1,
      memoryBytes: MEMORY_BYTES,
      paths: [part.path],
    });
    const { connection } = database;
    await connection.run(TABLES);
    // Rows come out in the order in which they went in only while the small tables are those that are looked up in.
    await connection.run("SET disabled_optimizers = 'join_order,build_side_probe_side'");
    return new BlockWriter(database, part);
  }

  /** @returns a whole Parquet file */
  async write(block: Block, rows: readonly Rows[]): Promise<Uint8Array> {
    const { connection } = this.database;
    await this.#appendNews(block);
    await this.#appendSnapshots(block.snapshots);
    await this.#appendGaps(block.gaps);
    const { INTEGER } = this.database.api;
    await this.database.append("present", block.present.series.length, [
      { type: INTEGER, data: Int32Array.from(block.present.series) },
      { type: INTEGER, data: Int32Array.from(block.present.snapshots) },
    ]);
    await this.#appendRows(rows);
    this.part.truncate();
    await connection.run(blockCopy(this.#blocks++, this.part.path));
    for (const table of BLOCK_TABLES) await connection.run(`DELETE FROM ${table}`);
    return this.part.read();
  }

  close(): void {
    this.database.close();
    this.part.close();
  }

  async #appendNews({ pools, series }: Block): Promise<void> {
    const { connection } = this.database;
    if (pools.length > 0) {
      const appender = await connection.createAppender("pools");
      for (const { pool, source, app } of pools) {
        appender.appendInteger(pool);
        appender.appendVarchar(source);
        appender.appendVarchar(app);
        appender.endRow();
      }
      appender.closeSync();
    }
    if (series.length === 0) return;
    const appender = await connection.createAppender("names");
    for (const each of series) {
      this.#series[each.series] = each;
      this.#reserve(each.firstCell + each.slots);
      this.#seriesOfCell.fill(each.series, each.firstCell, each.firstCell + each.slots);
      appender.appendInteger(each.series);
      appender.appendInteger(each.pool);
      for (const text of [each.service, each.metric, each.kind, each.unit, each.labels]) {
        appender.appendVarchar(text);
      }
      for (const number of [each.writer, each.pid, each.thread]) {
        if (number === null) appender.appendNull();
        else appender.appendInteger(number);
      }
      appender.appendVarchar(each.definition);
      appender.endRow();
    }
    appender.closeSync();
  }

  async #appendSnapshots(columns: SnapshotColumns): Promise<void> {
    const { INTEGER, BIGINT, DOUBLE, TIMESTAMPTZ } = this.database.api;
    const { length } = columns.pool;
    const big = (values: readonly number[]) => BigInt64Array.from(values, BigInt);
    await this.database.append("snapshots", length, [
      { type: INTEGER, data: Int32Array.from({ length }, (_, i) => i) },
      { type: INTEGER, data: Int32Array.from(columns.pool) },
      { type: TIMESTAMPTZ, data: big(columns.timeUs) },
      { type: BIGINT, data: big(columns.sequence) },
      { type: BIGINT, data: big(columns.generation) },
      { type: BIGINT, data: big(columns.monotonicNs) },
      { type: DOUBLE, data: Float64Array.from(columns.readMs) },
      { type: DOUBLE, data: Float64Array.from(columns.latenessMs) },
      { type: BIGINT, data: big(columns.missed) },
    ]);
  }

  async #appendGaps(gaps: Block["gaps"]): Promise<void> {
    if (gaps.length === 0) return;
    const appender = await this.database.connection.createAppender("gaps");
    for (const [snapshot, text] of gaps) {
      appender.appendInteger(snapshot);
      appender.appendVarchar(text);
      appender.endRow();
    }
    appender.closeSync();
  }

  /** Sorted by cell, and within it by snapshot: what belongs together compresses together. */
  async #appendRows(rows: readonly Rows[]): Promise<void> {
    const { INTEGER, DOUBLE } = this.database.api;
    const starts = new Int32Array(this.#cells + 1);
    let total = 0;
    for (const { count, cells } of rows) {
      for (let i = 0; i < count; i++) starts[cells[i]! + 1]!++;
      total += count;
    }
    for (let cell = 0; cell < this.#cells; cell++) starts[cell + 1]! += starts[cell]!;
    const series = new Int32Array(total);
    const slots = new Int32Array(total);
    const snapshots = new Int32Array(total);
    const values = new Float64Array(total);
    const bounds = new Float64Array(total);
    for (const each of rows) {
      for (let i = 0; i < each.count; i++) {
        const cell = each.cells[i]!;
        const to = starts[cell]!++;
        const number = this.#seriesOfCell[cell]!;
        const known = this.#series[number]!;
        const slot = cell - known.firstCell;
        series[to] = number;
        slots[to] = slot;
        snapshots[to] = each.snapshots[i]!;
        values[to] = each.values[i]!;
        bounds[to] = known.bounds?.[slot] ?? Number.NaN;
      }
    }
    await this.database.append("rows", total, [
      { type: INTEGER, data: series },
      { type: INTEGER, data: slots },
      { type: INTEGER, data: snapshots },
      { type: DOUBLE, data: values },
      { type: DOUBLE, data: bounds },
    ]);
  }

  #reserve(cells: number): void {
    this.#cells = Math.max(this.#cells, cells);
    if (cells <= this.#seriesOfCell.length) return;
    const grown = new Int32Array(Math.max(cells, this.#seriesOfCell.length * 2));
    grown.set(this.#seriesOfCell);
    this.#seriesOfCell = grown;
  }
}
