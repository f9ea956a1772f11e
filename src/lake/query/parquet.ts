// The answer of a query as Parquet: DuckDB writes it into a pipe of this process, which no SQL can name, and the bytes
// go on as they come. Used by the query process.

import { createReadStream } from "node:fs";
import type { Database } from "../../duckdb/index.ts";
import { closeFd, openPipe } from "../../ffi/index.ts";
import { type ErrorPlace, sqlError } from "./errors.ts";
import type { Passed } from "./gate.ts";
import { QueryError } from "./query-error.ts";

interface ParquetOutput {
  /** Makes the tables; besides their files, DuckDB may open `more`. */
  makeTables(more: readonly string[]): Promise<void>;
  columns(columns: readonly { name: string; type: string }[]): void;
  data(bytes: Uint8Array): void;
}

/** @returns how many rows there are */
export async function writeParquet(
  { connection }: Database,
  passed: Passed,
  place: ErrorPlace,
  output: ParquetOutput,
): Promise<number> {
  if (passed.isExplain) {
    throw new QueryError("bad-request", "an EXPLAIN is no Parquet", "ask for ndjson or csv");
  }
  const pipe = openPipe();
  const path = `/proc/self/fd/${pipe.write}`;
  await output.makeTables([path]);
  try {
    const select = passed.sql.replace(/[\s;]+$/, "");
    const prepared = await connection.prepare(select);
    output.columns(
      Array.from({ length: prepared.columnCount }, (_, i) => ({
        name: prepared.columnName(i),
        type: prepared.columnType(i).toString(),
      })),
    );
    prepared.destroySync();
    const reading = (async () => {
      for await (const bytes of createReadStream("", { fd: pipe.read })) output.data(bytes);
    })();
    try {
      // A line of its own: the text may end in a comment.
      const { rowsChanged } = await connection.run(
        `COPY (\n${select}\n) TO '${path}' (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)`,
      );
      return rowsChanged;
    } finally {
      // DuckDB has closed its own; with this one the pipe ends.
      closeFd(pipe.write);
      await reading;
    }
  } catch (error) {
    throw sqlError(error, place);
  }
}
