// A lake without a server, for tests: blocks go in as ingestion puts them, and SQL is answered by a DuckDB that gets what
// the query's process gets.

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import type { Log } from "../../../src/guard/index.ts";
import type { ViewState } from "../../../src/lake/catalogue/index.ts";
import type { Retention } from "../../../src/lake/context.ts";
import { Catalogue, FolderBlobs, LakeFolder } from "../../../src/lake/index.ts";
import { segmentOf } from "../../../src/lake/ingestion/segment.ts";
import type { LakeMaintenance, Pace } from "../../../src/lake/maintenance/index.ts";
import { type LakeParts, startParts } from "../../../src/lake/parts.ts";
import type { LakeTables } from "../../../src/lake/tables/index.ts";
import type { Materializer } from "../../../src/lake/views/index.ts";
import { encodeSegment } from "../../../src/layout/index.ts";
import type { MadeBlock } from "../views/blocks.ts";

interface SmallLakeOptions {
  dir?: string;
  retention?: Partial<Retention>;
  /** Nothing is done by itself unless it has a pace. */
  pace?: Partial<Pace>;
  nowNs?: () => bigint;
}

const NEVER_MS = 1e9;
export const NO_PACE: Pace = {
  ...{ round: NEVER_MS, merge: NEVER_MS, retain: NEVER_MS, sweep: NEVER_MS },
  ...{ grace: 0, orphan: 0 },
};

export class SmallLake {
  readonly said: string[] = [];

  private constructor(
    readonly dir: string,
    readonly folder: LakeFolder,
    readonly catalogue: Catalogue,
    readonly blobs: FolderBlobs,
    readonly isOwnDir: boolean,
  ) {}

  #parts!: LakeParts;

  static async open(options: SmallLakeOptions = {}): Promise<SmallLake> {
    const dir = options.dir ?? mkdtempSync("/tmp/microview-test-");
    const folder = LakeFolder.take(dir);
    const catalogue = await Catalogue.open(folder.cataloguePath, options.nowNs);
    const blobs = await FolderBlobs.open(folder.blobsDir);
    const lake = new SmallLake(dir, folder, catalogue, blobs, options.dir === undefined);
    const say = (message: string, fields?: object) => {
      lake.said.push(`${message} ${JSON.stringify(fields ?? {})}`);
    };
    const log: Log = { error: say, warn: say, info: say, debug: say };
    const retention = { ageMs: undefined, bytes: undefined, ...options.retention };
    lake.#parts = await startParts(
      { folder, catalogue, blobs, log, retention },
      { ...NO_PACE, ...options.pace },
      options.nowNs,
    );
    return lake;
  }

  get state(): ViewState {
    return this.#parts.state;
  }

  get materializer(): Materializer {
    return this.#parts.materializer;
  }

  get tables(): LakeTables {
    return this.#parts.tables;
  }

  get maintenance(): LakeMaintenance {
    return this.#parts.maintenance;
  }

  /** Stores blocks as one segment. */
  async add(blocks: readonly MadeBlock[], segmentId: string = crypto.randomUUID()): Promise<void> {
    await addSegment(this, blocks, segmentId);
  }

  /** Rows of a SELECT. */
  async query(
    sql: string,
    range: { fromNs?: bigint; toNs?: bigint } = {},
  ): Promise<Record<string, unknown>[]> {
    const names = this.tables.names.filter((name) => sql.includes(name));
    const opened = await this.tables.open(names, range, new AbortController().signal);
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    await connection.run("SET TimeZone = 'UTC'");
    try {
      for (const { name, columns, rows } of opened.rows) {
        const shape = JSON.stringify([columns]).replaceAll("'", "''");
        await connection.run(
          `CREATE TABLE "${name}" AS SELECT unnest(from_json($1::JSON, '${shape}'), max_depth := 2)`,
          [JSON.stringify(rows)],
        );
      }
      for (const statement of opened.statements) await connection.run(statement);
      return (await connection.runAndReadAll(sql)).getRowObjectsJson();
    } finally {
      connection.closeSync();
      instance.closeSync();
      opened.close();
    }
  }

  async close(): Promise<void> {
    await this.#parts.stop();
    await this.catalogue.close();
    this.folder.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    if (this.isOwnDir) rmSync(this.dir, { recursive: true });
  }
}

export async function addSegment(
  { catalogue, blobs }: { catalogue: Catalogue; blobs: FolderBlobs },
  blocks: readonly MadeBlock[],
  segmentId: string,
): Promise<void> {
  const bytes = encodeSegment(blocks.map((block) => block.bytes));
  const key = join("2026-12-01", segmentId);
  await blobs.putNew(key, bytes);
  await catalogue.addSegment(segmentOf(segmentId, key, bytes));
}
