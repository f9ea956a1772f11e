// The catalogue's database: one connection that writes, one transaction at a time, and one that only reads.
// In Bun's SQLite a statement beside a transaction of the same connection becomes a part of it, and is undone with it.
// Errors of the driver become the catalogue's own here.

import { SQL } from "bun";
import { catalogueError } from "./errors.ts";
import type { Raw } from "./rows.ts";

/** A connection for SELECT alone. Sees what was committed. */
export interface Reader {
  (sql: TemplateStringsArray, ...values: unknown[]): Promise<Raw[]>;
  /** Values of an IN, for a statement of this connection. */
  (values: readonly string[]): unknown;
  unsafe(sql: string, values?: readonly unknown[]): Promise<Raw[]>;
}

export class Connection {
  readonly #writer: SQL;
  readonly #reader: SQL;
  readonly read: Reader;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    writer: SQL,
    reader: SQL,
    readonly isFile: boolean,
  ) {
    this.#writer = writer;
    this.#reader = reader;
    this.read = readerOf(reader);
  }

  /** @param place path of an SQLite file, made if need be, or Bun's options of a PostgreSQL database */
  static async open(place: string | object): Promise<Connection> {
    const open = async () => {
      if (typeof place === "object") {
        // One connection each: statements beside a transaction would otherwise come before it or after.
        return new SQL({ ...place, max: 1, bigint: true } as never);
      }
      const sql = new SQL({ adapter: "sqlite", filename: place, bigint: true } as never);
      await sql.unsafe("PRAGMA busy_timeout = 10000");
      await sql.unsafe("PRAGMA journal_mode = WAL");
      // Who was told that a segment is there deletes it: it has to outlive a power cut.
      await sql.unsafe("PRAGMA synchronous = FULL");
      await sql.unsafe("PRAGMA foreign_keys = ON");
      return sql;
    };
    try {
      const writer = await open();
      return new Connection(writer, await open(), typeof place === "string");
    } catch (error) {
      throw catalogueError(error);
    }
  }

  /** Runs `work` as one transaction, after those that were asked for before; undone when it throws. */
  write<T>(work: (tx: SQL) => Promise<T>): Promise<T> {
    const done = this.#last.then(() => translated(this.#writer.begin(work as never) as Promise<T>));
    this.#last = done.catch(() => {});
    return done;
  }

  async close(): Promise<void> {
    await this.#last;
    // On a full disk there is no room for it; the next one to open the database does it.
    if (this.isFile) await this.#writer.unsafe("PRAGMA wal_checkpoint(TRUNCATE)").catch(() => {});
    await this.#reader.close();
    await this.#writer.close();
  }
}

function readerOf(sql: SQL): Reader {
  const call = (first: TemplateStringsArray | readonly string[], ...values: unknown[]) =>
    "raw" in first ? translated(sql(first, ...values)) : sql(first as never);
  return Object.assign(call, {
    unsafe: (text: string, values?: readonly unknown[]) =>
      translated(sql.unsafe(text, values as never)),
  }) as Reader;
}

/** @throws CatalogueError in place of the driver's error */
async function translated<T>(answer: PromiseLike<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw catalogueError(error);
  }
}
