// Makes Parquet files, out of blocks or out of smaller files. A file is written under a name that nobody looks at, synced,
// and then renamed, so that a file of its own name is always whole. Used in threads of their own.

import { closeSync, constants, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { Database } from "../../duckdb/index.ts";
import type { NewPartition } from "../catalogue/index.ts";
import { boundsOf, type Statistics } from "./bounds.ts";
import { columnsText, copySql, FILES, type FileView } from "./files.ts";

/** Below the lake's folder. */
export const VIEWS = "views";
/** Below the folder of views: what is being written. */
export const UNFINISHED = ".unfinished";

interface WriterOptions {
  /** The lake's folder. */
  dir: string;
  memoryBytes: number;
}

/** DuckDB in a lake's folder. */
export class ParquetWriter {
  readonly #dir: string;
  readonly #made = new Set<string>();

  private constructor(
    dir: string,
    readonly database: Database,
  ) {
    this.#dir = dir;
  }

  static async open({ dir, memoryBytes }: WriterOptions): Promise<ParquetWriter> {
    const unfinished = join(dir, VIEWS, UNFINISHED);
    mkdirSync(unfinished, { recursive: true, mode: 0o700 });
    const database = await Database.open({
      threads: 1,
      memoryBytes,
      paths: [],
      directories: [`${join(dir, VIEWS)}/`],
      spill: join(unfinished, `spill-${crypto.randomUUID()}`),
    });
    // Rows come out in the order in which they went in only while the small table is the one that is looked up in.
    const { connection } = database;
    await connection.run("SET disabled_optimizers = 'join_order,build_side_probe_side'");
    await connection.run("SET TimeZone = 'UTC'");
    return new ParquetWriter(dir, database);
  }

  /** Where a file of a view lies on this host. */
  pathOf(file: string): string {
    return join(this.#dir, file);
  }

  /**
   * Writes the rows of a SELECT, which has the view's columns in their order, as one file.
   * @returns undefined when there were none
   */
  async write(view: FileView, day: string, select: string): Promise<NewPartition | undefined> {
    const partitionId = crypto.randomUUID();
    const unfinished = join(this.#dir, VIEWS, UNFINISHED, `${partitionId}.parquet`);
    try {
      const reader = await this.database.connection.runAndReadAll(
        copySql(view, select, unfinished),
      );
      const [row] = reader.getRowsJson() as unknown as [CopiedFile?];
      if (row === undefined || Number(row[1]) === 0) return undefined;
      const statistics = statisticsOf(row);
      const time = statistics.get(FILES[view].timeColumn)!;
      const file = `${VIEWS}/${view}/data/day=${day}/${partitionId}.parquet`;
      this.#publish(unfinished, file);
      return {
        partitionId,
        viewName: view,
        file,
        day,
        minNs: BigInt(time["min"]!),
        maxNs: BigInt(time["max"]!),
        rows: Number(row[1]),
        bytes: Number(row[2]),
        columns: columnsText(view),
        bounds: boundsOf(view, statistics),
      };
    } finally {
      rmSync(unfinished, { force: true });
    }
  }

  /** Deletes files that no partition will name. */
  discard(partitions: readonly NewPartition[]): void {
    for (const { file } of partitions) rmSync(this.pathOf(file), { force: true });
  }

  close(): void {
    this.database.close();
  }

  #publish(unfinished: string, file: string): void {
    sync(unfinished, constants.O_RDONLY);
    const path = this.pathOf(file);
    const folder = dirname(path);
    if (!this.#made.has(folder)) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (let each = folder; each.length >= this.#dir.length; each = dirname(each)) syncDir(each);
      this.#made.add(folder);
    }
    renameSync(unfinished, path);
    syncDir(folder);
  }
}

function syncDir(path: string): void {
  sync(path, constants.O_RDONLY | constants.O_DIRECTORY);
}

function sync(path: string, flags: number): void {
  const fd = openSync(path, flags);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** What RETURN_STATS gives: name, rows, bytes, bytes of the footer, and of each column what is known. */
type CopiedFile = [
  file: string,
  rows: string,
  bytes: string,
  footer: string,
  columns: { key: string; value: { key: string; value: string }[] }[],
];

/** Of each column by its name, what DuckDB says of its values. */
function statisticsOf(row: CopiedFile): Statistics {
  return new Map(
    row[4].map(({ key, value }) => [
      // In quotes, and with dots where it is a part of another.
      key.replaceAll('"', ""),
      Object.fromEntries(value.map((each) => [each.key, each.value])),
    ]),
  );
}
