// The catalogue's database: one connection that writes, one transaction at a time, and one that only reads.
// In Bun's SQLite a statement beside a transaction of the same connection becomes a part of it, and is undone with it.

import { SQL } from "bun";

export class Connection {
  readonly #writer: SQL;
  readonly #reader: SQL;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(writer: SQL, reader: SQL) {
    this.#writer = writer;
    this.#reader = reader;
  }

  /** @param path of the SQLite file, made if need be */
  static async open(path: string): Promise<Connection> {
    const open = async () => {
      const sql = new SQL({ adapter: "sqlite", filename: path, bigint: true } as never);
      await sql.unsafe("PRAGMA journal_mode = WAL");
      await sql.unsafe("PRAGMA busy_timeout = 10000");
      // Who was told that a segment is there deletes it: it has to outlive a power cut.
      await sql.unsafe("PRAGMA synchronous = FULL");
      await sql.unsafe("PRAGMA foreign_keys = ON");
      return sql;
    };
    const writer = await open();
    return new Connection(writer, await open());
  }

  /** For SELECT alone. Sees what was committed. */
  get read(): SQL {
    return this.#reader;
  }

  /** Runs `work` as one transaction, after those that were asked for before; undone when it throws. */
  write<T>(work: (tx: SQL) => Promise<T>): Promise<T> {
    const done = this.#last.then(() => this.#writer.begin(work as never) as Promise<T>);
    this.#last = done.catch(() => {});
    return done;
  }

  async close(): Promise<void> {
    await this.#last;
    // On a full disk there is no room for it; whoever opens the database next does it.
    await this.#writer.unsafe("PRAGMA wal_checkpoint(TRUNCATE)").catch(() => {});
    await this.#reader.close();
    await this.#writer.close();
  }
}
