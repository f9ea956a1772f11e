// What DuckDB writes by COPY goes into a pipe of this process, which no SQL of others can name, and comes out as bytes.
// Used by the query process, for Parquet.

import { createReadStream } from "node:fs";
import type { DuckDBConnection } from "../../duckdb/index.ts";
import { closeFd, openPipe } from "../../ffi/index.ts";

export class CopyPipe {
  readonly #ends = openPipe();
  /** What the database must be allowed to open. */
  readonly path = `/proc/self/fd/${this.#ends.write}`;

  /**
   * Runs a SELECT; once.
   * @param options of COPY
   * @returns how many rows there were
   */
  async copy(
    connection: DuckDBConnection,
    select: string,
    options: string,
    take: (bytes: Uint8Array) => void,
  ): Promise<number> {
    const reading = (async () => {
      for await (const bytes of createReadStream("", { fd: this.#ends.read })) take(bytes);
    })();
    try {
      // A line of its own: the text may end in a comment.
      const text = select.replace(/[\s;]+$/, "");
      const { rowsChanged } = await connection.run(
        `COPY (\n${text}\n) TO '${this.path}' (${options}, USE_TMP_FILE false)`,
      );
      return rowsChanged;
    } finally {
      // DuckDB has closed its own; with this one the pipe ends.
      closeFd(this.#ends.write);
      await reading;
    }
  }
}
