// Makes one row group out of a block's rows, as a whole Parquet file in memory.

import { Database } from "../../duckdb/index.ts";
import { MemoryFile } from "../../ffi/index.ts";
import { BLOCK_TABLES, blockCopy, LOOKUPS, TABLES } from "./format.ts";
import type { Block, ChangedValues, SeriesNews, SnapshotColumns } from "./worker-protocol.ts";

const MEMORY_BYTES = 1.5e9;
const FORGOTTEN_AT_ONCE = 10_000;

export class BlockWriter {
  /** Blocks so far. */
  #blocks = 0;
  /** By number. */
  readonly #pools = new Map<number, { source: string; app: string }>();
  /** By number; those that have ended are left out. */
  readonly #series: (SeriesNews | undefined)[] = [];
  /** Series of each cell, by number. */
  #seriesOfCell = new Int32Array(1024);
  #cells = 0;

  private constructor(
    readonly database: Database,
    readonly part: MemoryFile,
    readonly perWriter: boolean,
  ) {}

  /** @throws DuckDbMissingError */
  static async open(perWriter: boolean): Promise<BlockWriter> {
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
    return new BlockWriter(database, part, perWriter);
  }

  /** @returns a whole Parquet file */
  async write(block: Block, rows: readonly ChangedValues[]): Promise<Uint8Array> {
    const { connection } = this.database;
    await this.#appendNews(block);
    await this.#appendSnapshots(block.snapshots);
    const { INTEGER } = this.database.api;
    await this.database.append("present", block.present.series.length, [
      { type: INTEGER, data: Int32Array.from(block.present.series) },
      { type: INTEGER, data: Int32Array.from(block.present.snapshots) },
    ]);
    await this.#appendRows(rows);
    this.part.truncate();
    await connection.run(blockCopy(this.#blocks++, this.perWriter, this.part.path));
    for (const table of BLOCK_TABLES) await connection.run(`DELETE FROM ${table}`);
    await this.#forget(block.ended);
    return this.part.read();
  }

  /** Nothing of these comes in later blocks. */
  async #forget({ pools, series }: Block["ended"]): Promise<void> {
    for (const number of pools) this.#pools.delete(number);
    for (const number of series) this.#series[number] = undefined;
    const { connection } = this.database;
    for (let from = 0; from < series.length; from += FORGOTTEN_AT_ONCE) {
      const some = series.slice(from, from + FORGOTTEN_AT_ONCE);
      await connection.run(`DELETE FROM known WHERE series IN (${some.join(", ")})`);
    }
    if (pools.length > 0) {
      await connection.run(
        `DELETE FROM known WHERE series IS NULL AND pool IN (${pools.join(", ")})`,
      );
    }
  }

  close(): void {
    this.database.close();
    this.part.close();
  }

  async #appendNews({ pools, series }: Block): Promise<void> {
    if (pools.length + series.length === 0) return;
    const { connection } = this.database;
    const appender = await connection.createAppender("known");
    const append = (values: readonly (number | string | null)[]) => {
      for (const value of values) {
        if (value === null) appender.appendNull();
        else if (typeof value === "number") appender.appendInteger(value);
        else appender.appendVarchar(value);
      }
      appender.endRow();
    };
    for (const { pool, source, app } of pools) {
      this.#pools.set(pool, { source, app });
      const nothing = new Array<null>(9).fill(null);
      append([null, pool, source, app, ...nothing]);
    }
    for (const each of series) {
      this.#series[each.series] = each;
      this.#reserve(each.firstCell + each.slots);
      this.#seriesOfCell.fill(each.series, each.firstCell, each.firstCell + each.slots);
      const { source, app } = this.#pools.get(each.pool)!;
      append([
        ...[each.series, each.pool, source, app, each.service, each.metric, each.labels],
        ...[each.kind, each.unit, each.writer, each.pid, each.thread, each.definition],
      ]);
    }
    appender.closeSync();
    for (const sql of LOOKUPS) await connection.run(sql);
  }

  async #appendSnapshots(columns: SnapshotColumns): Promise<void> {
    const appender = await this.database.connection.createAppender("snapshots");
    const { timestampTZValue } = this.database.api;
    for (const [i, pool] of columns.pool.entries()) {
      appender.appendInteger(i);
      appender.appendInteger(pool);
      appender.appendTimestampTZ(timestampTZValue(BigInt(columns.timeUs[i]!)));
      appender.appendBigInt(BigInt(columns.missed[i]!));
      appender.appendDouble(columns.latenessMs[i]!);
      appender.appendVarchar(JSON.stringify(columns.detail[i]));
      appender.endRow();
    }
    appender.closeSync();
  }

  /** Sorted by cell, and within it by snapshot: what belongs together compresses together. */
  async #appendRows(rows: readonly ChangedValues[]): Promise<void> {
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
