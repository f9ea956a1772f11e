// Appends rows to a table from typed arrays, chunk by chunk: a column is copied whole, never value by value.

import type { DuckDBAppender, DuckDBDataChunk, DuckDBType } from "@duckdb/node-api";
import type { Database } from "./database.ts";
import { TEXT_REFERENCE_BYTES } from "./text-heap.ts";

type Vector = import("@duckdb/node-bindings").Vector;
type OwnMemory = ArrayBufferView & { readonly buffer: ArrayBuffer };

/** Filled column by column, for at most `chunkRows` rows at a time, and then appended. */
export class BulkAppender {
  /** Rows of a chunk at most. */
  readonly chunkRows: number;
  readonly #bindings: Database["bindings"];
  readonly #appender: DuckDBAppender;
  readonly #chunk: DuckDBDataChunk;
  readonly #vectors: readonly Vector[];

  private constructor(
    { api, bindings, chunkRows }: Database,
    appender: DuckDBAppender,
    types: readonly DuckDBType[],
  ) {
    this.chunkRows = chunkRows;
    this.#bindings = bindings;
    this.#appender = appender;
    const chunk = api.DuckDBDataChunk.create(types, chunkRows);
    this.#chunk = chunk;
    this.#vectors = types.map((_, i) => bindings.data_chunk_get_vector(chunk.chunk, i));
  }

  /** @param types of all of the table's columns, in their order */
  static async open(
    database: Database,
    table: string,
    types: readonly DuckDBType[],
  ): Promise<BulkAppender> {
    return new BulkAppender(database, await database.connection.createAppender(table), types);
  }

  /** Memory as DuckDB has the column's type: 8 bytes of a BIGINT or DOUBLE, a `TextHeap`'s reference of a VARCHAR. */
  fill(column: number, data: OwnMemory, byteOffset: number, bytes: number): void {
    const from = data.byteOffset + byteOffset;
    this.#bindings.copy_data_to_vector(this.#vectors[column]!, 0, data.buffer, from, bytes);
  }

  /**
   * A column of MAP(VARCHAR, VARCHAR).
   * @param lists of each row, as u64 each: its first entry and how many it has
   * @param keys references to texts; those of one row must differ
   */
  fillMaps(
    column: number,
    rows: number,
    lists: OwnMemory,
    entries: number,
    keys: OwnMemory,
    values: OwnMemory,
  ): void {
    const bindings = this.#bindings;
    const vector = this.#vectors[column]!;
    bindings.list_vector_reserve(vector, entries);
    bindings.list_vector_set_size(vector, entries);
    this.fill(column, lists, 0, rows * 16);
    if (entries === 0) return;
    const child = bindings.list_vector_get_child(vector);
    for (const [i, data] of [keys, values].entries()) {
      const texts = bindings.struct_vector_get_child(child, i);
      const bytes = entries * TEXT_REFERENCE_BYTES;
      bindings.copy_data_to_vector(texts, 0, data.buffer, data.byteOffset, bytes);
    }
  }

  /** Appends what the columns were filled with; after that nothing of it is referred to. */
  append(rows: number): void {
    this.#bindings.data_chunk_set_size(this.#chunk.chunk, rows);
    this.#appender.appendDataChunk(this.#chunk);
  }

  close(): void {
    this.#appender.closeSync();
  }
}
