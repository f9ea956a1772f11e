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

/** Tables of a block, as the recorder fills them before it is written. */
export const TABLES = `
CREATE TABLE pools (pool INTEGER, source VARCHAR, app VARCHAR);
CREATE TABLE names (
  series INTEGER, pool INTEGER, service VARCHAR, metric VARCHAR, kind VARCHAR, unit VARCHAR, labels VARCHAR,
  writer INTEGER, pid INTEGER, thread INTEGER, definition VARCHAR
);
CREATE TABLE snapshots (
  snapshot INTEGER, pool INTEGER, time TIMESTAMPTZ, sequence BIGINT, generation BIGINT, monotonic_ns BIGINT,
  read_ms DOUBLE, lateness_ms DOUBLE, missed BIGINT
);
CREATE TABLE gaps (snapshot INTEGER, gap VARCHAR);
CREATE TABLE present (series INTEGER, snapshot INTEGER);
CREATE TABLE rows (series INTEGER, slot INTEGER, snapshot INTEGER, value DOUBLE, le DOUBLE);
`;

/** Those that are emptied after each block. */
export const BLOCK_TABLES = ["snapshots", "gaps", "present", "rows"] as const;

/** Selects the rows of a block, in the order in which they are written. */
export function blockQuery(block: number): string {
  return `
SELECT ${block}::INTEGER AS block, 'snapshot' AS part, time, source, app,
  NULL::VARCHAR AS service, NULL::VARCHAR AS metric, NULL::VARCHAR AS labels, NULL::DOUBLE AS le, NULL::DOUBLE AS value,
  NULL::VARCHAR AS kind, NULL::VARCHAR AS unit, NULL::INTEGER AS writer, NULL::INTEGER AS pid, NULL::INTEGER AS thread,
  missed, gap, lateness_ms, read_ms, snapshot,
  NULL::INTEGER AS series, NULL::INTEGER AS slot, sequence, generation, monotonic_ns, NULL::VARCHAR AS definition
FROM snapshots LEFT JOIN gaps USING (snapshot) JOIN pools USING (pool)
UNION ALL
SELECT ${block}, 'series', time, source, app,
  service, metric, labels, NULL, NULL,
  kind, unit, writer, pid, thread,
  NULL, NULL, NULL, NULL, snapshot,
  series, NULL, NULL, NULL, NULL, definition
FROM present JOIN names USING (series) JOIN (SELECT snapshot, time FROM snapshots) USING (snapshot) JOIN pools USING (pool)
UNION ALL
SELECT ${block},
  CASE WHEN NOT isnan(le) THEN 'bucket' WHEN slot = 0 THEN 'value' WHEN kind = 'gauge' THEN 'set_at' ELSE 'sum' END,
  time, source, app,
  service, metric, labels, CASE WHEN isnan(le) THEN NULL ELSE le END, value,
  kind, unit, writer, pid, thread,
  NULL, NULL, NULL, NULL, snapshot,
  series, slot, NULL, NULL, NULL, NULL
FROM rows JOIN names USING (series) JOIN (SELECT snapshot, time FROM snapshots) USING (snapshot) JOIN pools USING (pool)`;
}

/** Writes a block to a file of its own, as one row group. */
export function blockCopy(block: number, file: string): string {
  return `COPY (${blockQuery(block)}) TO '${file}' (
  FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 100000000,
  WRITE_BLOOM_FILTER false, USE_TMP_FILE false, KV_METADATA {microview: '${RECORDING_VERSION}'}
)`;
}

/** What a series' row says besides its columns, as JSON. */
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
