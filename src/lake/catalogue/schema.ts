// The tables of the catalogue, in SQL that SQLite and PostgreSQL both take. Catalogue.open makes them.

import type { SQL } from "bun";
import { CatalogueVersionError } from "./errors.ts";
import { LONG_BLOCK_NS } from "./rows.ts";

/** Nanoseconds since 1970, bytes and counts are BIGINT; properties and bounds are JSON text. */
const FIRST_TABLES = [
  `CREATE TABLE IF NOT EXISTS processes (
    process_id TEXT PRIMARY KEY,
    app TEXT NOT NULL, service TEXT NOT NULL,
    pid BIGINT NOT NULL, host TEXT NOT NULL, user_name TEXT NOT NULL,
    exe TEXT NOT NULL, runtime TEXT NOT NULL,
    start_ns BIGINT NOT NULL, properties TEXT NOT NULL, insert_ns BIGINT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS streams (
    stream_id TEXT PRIMARY KEY,
    process_id TEXT NOT NULL REFERENCES processes (process_id),
    thread_id BIGINT NOT NULL, start_ns BIGINT NOT NULL,
    insert_ns BIGINT NOT NULL, ended_ns BIGINT)`,
  `CREATE TABLE IF NOT EXISTS segments (
    segment_id TEXT PRIMARY KEY,
    blob TEXT NOT NULL, bytes BIGINT NOT NULL, insert_ns BIGINT NOT NULL)`,
  // A column …_partition is null until the view has the block's rows, "-" where it has none for that view, and "!" where
  // they cannot be had.
  `CREATE TABLE IF NOT EXISTS blocks (
    block_id TEXT PRIMARY KEY,
    stream_id TEXT NOT NULL REFERENCES streams (stream_id),
    process_id TEXT NOT NULL REFERENCES processes (process_id),
    segment_id TEXT NOT NULL REFERENCES segments (segment_id),
    blob_offset BIGINT NOT NULL, blob_bytes BIGINT NOT NULL,
    first_word BIGINT NOT NULL, end_word BIGINT NOT NULL,
    begin_ns BIGINT NOT NULL, end_ns BIGINT NOT NULL,
    logs BIGINT NOT NULL, measures BIGINT NOT NULL, metrics BIGINT NOT NULL,
    spans BIGINT NOT NULL, opens BIGINT NOT NULL, closes BIGINT NOT NULL,
    is_final BIGINT NOT NULL, insert_ns BIGINT NOT NULL,
    logs_partition TEXT, measures_partition TEXT, metrics_partition TEXT, spans_partition TEXT)`,
  `CREATE TABLE IF NOT EXISTS partitions (
    partition_id TEXT PRIMARY KEY,
    view_name TEXT NOT NULL, file TEXT NOT NULL, day TEXT NOT NULL,
    min_ns BIGINT NOT NULL, max_ns BIGINT NOT NULL,
    row_count BIGINT NOT NULL, bytes BIGINT NOT NULL,
    schema_hash TEXT NOT NULL, bounds TEXT NOT NULL,
    state TEXT NOT NULL, insert_ns BIGINT NOT NULL, dropped_ns BIGINT)`,
  `CREATE TABLE IF NOT EXISTS set_aside (
    block_id TEXT NOT NULL, view_name TEXT NOT NULL, reason TEXT NOT NULL, insert_ns BIGINT NOT NULL,
    PRIMARY KEY (block_id, view_name))`,
  // What is older than this was dropped, and does not come back when it is sent again.
  `CREATE TABLE IF NOT EXISTS retired (
    name TEXT PRIMARY KEY, before_ns BIGINT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS totals (
    name TEXT PRIMARY KEY, value BIGINT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY, holder TEXT NOT NULL, until_ns BIGINT NOT NULL)`,
  ...["logs", "measures", "metrics", "spans"].map(
    (view) =>
      `CREATE INDEX IF NOT EXISTS blocks_without_${view} ON blocks (end_ns) WHERE ${view}_partition IS NULL`,
  ),
  "CREATE INDEX IF NOT EXISTS segments_by_insert ON segments (insert_ns)",
  "CREATE INDEX IF NOT EXISTS blocks_by_time ON blocks (end_ns)",
  `CREATE INDEX IF NOT EXISTS long_blocks ON blocks (end_ns) WHERE end_ns - begin_ns >= ${LONG_BLOCK_NS}`,
  "CREATE INDEX IF NOT EXISTS blocks_by_insert ON blocks (insert_ns)",
  "CREATE INDEX IF NOT EXISTS blocks_by_stream ON blocks (stream_id, first_word)",
  "CREATE INDEX IF NOT EXISTS blocks_by_process ON blocks (process_id)",
  "CREATE INDEX IF NOT EXISTS blocks_by_segment ON blocks (segment_id)",
  "CREATE INDEX IF NOT EXISTS streams_by_process ON streams (process_id)",
  "CREATE INDEX IF NOT EXISTS partitions_by_time ON partitions (view_name, state, max_ns)",
];

/** What makes a catalogue of one version one of the next. */
export type SchemaStep = (tx: SQL) => Promise<void>;

/**
 * The step at `i` is for catalogues of version `i`; one without anything has version 0. Catalogues that exist have taken
 * these steps, so none is changed: a table changes by a step at the end.
 */
export const STEPS: readonly SchemaStep[] = [
  async (tx) => {
    for (const table of FIRST_TABLES) await tx.unsafe(table);
  },
  // Columns of files were known by a hash alone, and bounds by the names of columns, which change.
  async (tx) => {
    await tx.unsafe(`CREATE TABLE schemas (
      view_name TEXT NOT NULL, schema_id BIGINT NOT NULL, columns TEXT NOT NULL,
      PRIMARY KEY (view_name, schema_id), UNIQUE (view_name, columns))`);
    await tx.unsafe(`INSERT INTO schemas (view_name, schema_id, columns)
      SELECT view_name, row_number() OVER (PARTITION BY view_name ORDER BY schema_hash),
        '{"hash":"' || schema_hash || '"}'
      FROM (SELECT DISTINCT view_name, schema_hash FROM partitions) AS hashes`);
    await tx.unsafe("ALTER TABLE partitions ADD COLUMN schema_id BIGINT NOT NULL DEFAULT 0");
    await tx.unsafe(`UPDATE partitions SET bounds = '{}', schema_id = (
      SELECT s.schema_id FROM schemas s WHERE s.view_name = partitions.view_name
        AND s.columns = '{"hash":"' || partitions.schema_hash || '"}')`);
    await tx.unsafe("ALTER TABLE partitions DROP COLUMN schema_hash");
  },
];

/**
 * Makes a catalogue of any older version one of the newest. Within one transaction: killed in between, it is what it was.
 * @throws CatalogueVersionError for the catalogue of a newer microview
 */
export async function prepareSchema(tx: SQL, steps = STEPS): Promise<void> {
  await tx.unsafe("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)");
  const [row] = await tx`SELECT version FROM schema_version`;
  if (row === undefined) await tx`INSERT INTO schema_version (version) VALUES (0)`;
  const version = Number(row?.version ?? 0);
  if (version > steps.length) throw new CatalogueVersionError(version, steps.length);
  for (const step of steps.slice(version)) await step(tx);
  if (version < steps.length) await tx`UPDATE schema_version SET version = ${steps.length}`;
}
