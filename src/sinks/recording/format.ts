// What a recording's Parquet file looks like; docs/files.md says it for those who query one.
//
// A file is a sequence of blocks, a row group each, that can be read alone: a block begins with the value of everything
// and then has what changed. There are rows of three kinds, told apart by `part`:
//   snapshot              a read of a pool: its time, and how well its deadline was kept
//   series                a series that is there from that snapshot on, with its definition
//   value, set_at, bucket, sum   a slot of a series whose value is another one than at the snapshot before
// The name columns of a value's row are there for whoever queries; a replay needs `series`, `slot` and `snapshot` alone.

/** Raised whenever an older reader would misread a file. */
export const RECORDING_VERSION = "1";

const PARTS = ["snapshot", "series", "value", "set_at", "bucket", "sum"];
/** Columns of text that are the same in many rows. */
const NAMES = ["source", "app", "service", "metric", "labels", "kind", "unit"] as const;

/** Tables that the recorder fills before a block is written. */
export const TABLES = `
CREATE TABLE known (
  series INTEGER, pool INTEGER, source VARCHAR, app VARCHAR, service VARCHAR, metric VARCHAR, labels VARCHAR,
  kind VARCHAR, unit VARCHAR, writer INTEGER, pid INTEGER, thread INTEGER, definition VARCHAR
);
CREATE TABLE snapshots (
  snapshot INTEGER, pool INTEGER, time TIMESTAMPTZ, missed BIGINT, lateness_ms DOUBLE, detail VARCHAR
);
CREATE TABLE present (series INTEGER, snapshot INTEGER);
CREATE TABLE rows (series INTEGER, slot INTEGER, snapshot INTEGER, value DOUBLE, le DOUBLE);
CREATE TYPE part_name AS ENUM (${PARTS.map((part) => `'${part}'`).join(", ")});
`;

/** Those that are emptied after each block. */
export const BLOCK_TABLES = ["snapshots", "present", "rows"] as const;

/**
 * Brings `names` and `pools` up to `known`: the same with numbers for texts, as they are looked up for every row. A pool
 * stands in `known` as a series without a number.
 */
export const LOOKUPS: readonly string[] = [
  "DROP TABLE IF EXISTS names",
  "DROP TABLE IF EXISTS pools",
  ...NAMES.flatMap((name) => [
    `DROP TYPE IF EXISTS ${name}_name`,
    `CREATE TYPE ${name}_name AS ENUM (SELECT DISTINCT ${name} FROM known WHERE ${name} IS NOT NULL)`,
  ]),
  `CREATE TABLE names AS
   SELECT series, ${NAMES.map((name) => `${name}::${name}_name AS ${name}`).join(", ")},
     writer, pid, thread, definition
   FROM known WHERE series IS NOT NULL`,
  `CREATE TABLE pools AS
   SELECT pool, source::source_name AS source, app::app_name AS app FROM known WHERE series IS NULL`,
];

/** Selects the rows of a block, in the order in which they are written. */
function blockQuery(block: number, perWriter: boolean): string {
  const writers = (columns: string) => (perWriter ? `${columns},` : "");
  return `
SELECT ${block}::INTEGER AS block, 'snapshot'::part_name AS part, time, source, app,
  NULL::service_name AS service, NULL::metric_name AS metric, NULL::labels_name AS labels,
  NULL::DOUBLE AS le, NULL::DOUBLE AS value, NULL::kind_name AS kind, NULL::unit_name AS unit,
  ${writers("NULL::INTEGER AS writer, NULL::INTEGER AS pid, NULL::INTEGER AS thread")}
  missed, lateness_ms, snapshot, NULL::INTEGER AS series, NULL::INTEGER AS slot, detail
FROM snapshots JOIN pools USING (pool)
UNION ALL
SELECT ${block}, 'series'::part_name, time, source, app, service, metric, labels, NULL, NULL, kind, unit,
  ${writers("writer, pid, thread")} NULL, NULL, snapshot, series, NULL, definition
FROM present JOIN names USING (series) JOIN (SELECT snapshot, time FROM snapshots) USING (snapshot)
UNION ALL
SELECT ${block},
  CASE WHEN NOT isnan(le) THEN 'bucket'::part_name WHEN slot = 0 THEN 'value'::part_name
    WHEN kind = 'gauge' THEN 'set_at'::part_name ELSE 'sum'::part_name END,
  time, source, app, service, metric, labels, CASE WHEN isnan(le) THEN NULL ELSE le END, value, kind, unit,
  ${writers("writer, pid, thread")} NULL, NULL, snapshot, series, slot, NULL
FROM rows JOIN names USING (series) JOIN (SELECT snapshot, time FROM snapshots) USING (snapshot)`;
}

/**
 * Writes a block to a file of its own, as one row group.
 * @param file a path without a quote
 */
export function blockCopy(block: number, perWriter: boolean, file: string): string {
  return `COPY (${blockQuery(block, perWriter)}) TO '${file}' (
  FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 9, ROW_GROUP_SIZE 100000000,
  WRITE_BLOOM_FILTER false, USE_TMP_FILE false, KV_METADATA {microview: '${RECORDING_VERSION}'}
)`;
}

/** What a snapshot's row says besides its columns, as JSON in `detail`. */
export interface SnapshotDetail {
  sequence: number;
  generation: number;
  monotonicNs: number;
  readMs: number;
  gap?: string;
}

/** What a series' row says besides its columns, likewise. */
export interface Definition {
  help: string;
  combine: string;
  labelNames: readonly string[];
  labelValues: readonly string[];
  bounds?: readonly number[];
  logLinear?: { min: number; max: number; error: number };
  dialect?: string;
  /** Keeps what dead writers have counted. */
  retained?: true;
  /** Since when it is counted, in unix ms: of the service, or of the writer where writers are by themselves. */
  since?: number;
}
