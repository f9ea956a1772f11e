// Reads Parquet files with DuckDB alone, as anybody would: none of our own reading is in between.

import { DuckDBInstance } from "@duckdb/node-api";

/** Rows of a query, in which `FILE` stands for the file. */
export async function queryParquet(path: string, sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const quoted = `'${path.replaceAll("'", "''")}'`;
    const reader = await connection.runAndReadAll(sql.replaceAll("FILE", quoted));
    return reader.getRowsJson() as unknown[][];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
