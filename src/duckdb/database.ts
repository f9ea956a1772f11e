// A database in memory: what it may use, and columns that are appended to its tables. It belongs to its opener alone.

import type { DuckDBConnection, DuckDBType } from "@duckdb/node-api";

/** What a database may use. */
interface DatabaseOptions {
  threads: number;
  memoryBytes: number;
  /**
   * Files that it may open; it has no access to any other. Left out while they are not known: then `shutOff` is called
   * before anything is run that others have a say in.
   */
  paths?: readonly string[];
  /** Folders in which it may read and write whatever there is. */
  directories?: readonly string[];
  /** Where it may put what does not fit into its memory; nowhere without it. */
  spill?: string;
}

/** DuckDB is not there. */
export class DuckDbMissingError extends Error {
  override readonly name = "DuckDbMissingError";
}

type Api = typeof import("@duckdb/node-api");
type Bindings = typeof import("@duckdb/node-bindings");

/** A database in memory with one connection. */
export class Database {
  /** Rows of a chunk at most. */
  readonly chunkRows: number;

  private constructor(
    readonly api: Api,
    readonly connection: DuckDBConnection,
    readonly bindings: Bindings,
    readonly close: () => void,
  ) {
    this.chunkRows = bindings.vector_size();
  }

  /** @throws DuckDbMissingError when the packages are not installed, from sources */
  static async open(options: DatabaseOptions): Promise<Database> {
    const { threads, memoryBytes, paths, directories, spill = "" } = options;
    const { api, bindings } = await load();
    const instance = await api.DuckDBInstance.create(":memory:", {
      threads: String(threads),
      memory_limit: `${Math.round(memoryBytes / 1e6)}MB`,
      // Nothing is written but what is asked for, and nothing is fetched.
      temp_directory: spill,
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
      allow_community_extensions: "false",
    });
    const connection = await instance.connect();
    const database = new Database(api, connection, bindings, () => {
      connection.closeSync();
      instance.closeSync();
    });
    if (paths !== undefined) await database.shutOff(paths, directories);
    return database;
  }

  /** From here on it opens these files, and what is in these folders, and nothing else. No path may hold a quote. */
  async shutOff(paths: readonly string[], directories: readonly string[] = []): Promise<void> {
    for (const path of [...paths, ...directories]) {
      if (path.includes("'")) throw new RangeError(`a path with a quote: ${path}`);
    }
    await this.connection.run(`SET allowed_paths = ${listOf(paths)}`);
    await this.connection.run(`SET allowed_directories = ${listOf(directories)}`);
    await this.connection.run("SET enable_external_access = false");
  }

  /**
   * Appends columns of equal length to a table, which has them in this order.
   * @param columns memory as DuckDB has the type: 4 bytes of an INTEGER, 8 of a DOUBLE or TIMESTAMPTZ
   */
  async append(table: string, rows: number, columns: readonly FixedColumn[]): Promise<void> {
    const { api, bindings, chunkRows } = this;
    const appender = await this.connection.createAppender(table);
    const chunk = api.DuckDBDataChunk.create(
      columns.map(({ type }) => type),
      chunkRows,
    );
    const vectors = columns.map((_, i) => bindings.data_chunk_get_vector(chunk.chunk, i));
    for (let at = 0; at < rows; at += chunkRows) {
      const count = Math.min(chunkRows, rows - at);
      bindings.data_chunk_set_size(chunk.chunk, count);
      for (const [i, { data }] of columns.entries()) {
        const width = data.BYTES_PER_ELEMENT;
        const from = data.byteOffset + at * width;
        bindings.copy_data_to_vector(vectors[i]!, 0, data.buffer, from, count * width);
      }
      appender.appendDataChunk(chunk);
    }
    appender.closeSync();
  }
}

function listOf(paths: readonly string[]): string {
  return `[${paths.map((path) => `'${path}'`).join(", ")}]`;
}

/** A column whose values all have the same width, none of them NULL. */
interface FixedColumn {
  type: DuckDBType;
  data: (Int32Array | Float64Array | BigInt64Array) & { readonly buffer: ArrayBuffer };
}

let loading: Promise<{ api: Api; bindings: Bindings }> | undefined;

function load(): Promise<{ api: Api; bindings: Bindings }> {
  loading ??= (async () => {
    try {
      const api = await import("@duckdb/node-api");
      const module = await import("@duckdb/node-bindings");
      // CommonJS from sources, and our own module in the compiled program.
      const { default: bindings = module } = module as { default?: Bindings };
      return { api, bindings: bindings as Bindings };
    } catch (error) {
      throw new DuckDbMissingError(
        import.meta.url.includes("/$bunfs/")
          ? `DuckDB, which is inside, cannot be loaded: ${(error as Error).message}`
          : "DuckDB is not installed: run `bun add @duckdb/node-api`, or use the compiled program, which has it inside",
        { cause: error },
      );
    }
  })();
  return loading;
}
