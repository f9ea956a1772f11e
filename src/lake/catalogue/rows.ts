// What the catalogue is given and gives: rows as typed values. Times are nanoseconds since 1970, as BigInt.

/** What is made out of blocks. Spans are written to three sets of files, of which queries make one table. */
export const BLOCK_VIEWS = ["log_entries", "measures", "metrics", "spans"] as const;
export type BlockView = (typeof BLOCK_VIEWS)[number];

/** The mark of a block that has nothing for a view. */
export const NOTHING = "-";
/** The mark of a block that cannot be read, or not be written to a view: `set_aside` says why. */
export const SET_ASIDE = "!";

/** Columns of blocks that say whether a view has their rows. */
export const MARKS = {
  log_entries: "logs_partition",
  measures: "measures_partition",
  metrics: "metrics_partition",
  spans: "spans_partition",
} as const satisfies Record<BlockView, string>;

type BlockCount = "logs" | "measures" | "metrics" | "spans" | "opens" | "closes";

/** Columns of blocks that count the rows that a view has of them. */
export const COUNTS = {
  log_entries: ["logs"],
  measures: ["measures"],
  metrics: ["metrics"],
  spans: ["spans", "opens", "closes"],
} as const satisfies Record<BlockView, readonly BlockCount[]>;

/** How many rows a view has of a block. */
export function rowsFor(view: BlockView, block: Readonly<Record<BlockCount, number>>): number {
  return COUNTS[view].reduce((sum, each) => sum + block[each], 0);
}

/** Blocks that cover so much time have an index of their own: few do, and all others end soon after a range that they are in. */
export const LONG_BLOCK_NS = 600_000_000_000n;

/** Half open: `fromNs` ≤ time < `toNs`. */
export interface TimeRange {
  fromNs: bigint;
  toNs: bigint;
}

export interface ProcessRow {
  processId: string;
  app: string;
  service: string;
  pid: number;
  host: string;
  user: string;
  exe: string;
  runtime: string;
  startNs: bigint;
  /** Container, pod, resource attributes and the like. */
  properties: Readonly<Record<string, string>>;
}

export interface StreamRow {
  streamId: string;
  processId: string;
  threadId: number;
  startNs: bigint;
  /** When the last event of a writer that has ended was recorded. */
  endedNs: bigint | undefined;
}

export interface BlockRow {
  blockId: string;
  streamId: string;
  processId: string;
  segmentId: string;
  /** Where its bytes are: a key of the blob store, and the part of the blob. */
  blob: string;
  blobOffset: number;
  blobBytes: number;
  firstWord: number;
  endWord: number;
  beginNs: bigint;
  endNs: bigint;
  logs: number;
  measures: number;
  metrics: number;
  spans: number;
  opens: number;
  closes: number;
  isFinal: boolean;
  insertNs: bigint;
}

/** A segment that has arrived, with what the headers of its blocks say. */
export interface NewSegment {
  segmentId: string;
  blob: string;
  bytes: number;
  processes: readonly ProcessRow[];
  /** With the application of each, to which its id belongs. */
  streams: readonly (Omit<StreamRow, "endedNs"> & { app: string })[];
  blocks: readonly (Omit<BlockRow, "segmentId" | "blob" | "insertNs"> & { app: string })[];
}

export interface AddedSegment {
  /** False when the segment was there already: nothing has changed. */
  isNew: boolean;
  blocks: number;
  /** Blocks that another segment has brought before. */
  known: number;
  /** Of those, the ones that ended elsewhere or were longer: what goes beyond is not in the lake. */
  conflicts: readonly string[];
  /** Of those, some that may be the same: where the bytes of each lie. */
  again: readonly KnownBlock[];
  /** Ids that an application has in place of what it sent, which is another's. */
  ownIds: readonly string[];
}

/** A block that has come again, where it lies and where it was in what came. */
export interface KnownBlock {
  blockId: string;
  blob: string;
  blobOffset: number;
  blobBytes: number;
  sentOffset: number;
}

/** One immutable file of a view. */
export interface NewPartition {
  partitionId: string;
  viewName: string;
  /** Below the lake's folder. */
  file: string;
  /** UTC day of the events, YYYY-MM-DD. */
  day: string;
  minNs: bigint;
  /** Time of the last event, which is in it. */
  maxNs: bigint;
  rows: number;
  bytes: number;
  /** The columns that it has, as a text that is the same for the same columns. */
  columns: string;
  bounds: Bounds;
}

/**
 * By field id, what a column has at least and at most, and how many of its values are missing. Cut texts are wider bounds;
 * a bound that is not known is not there.
 */
export type Bounds = Readonly<Record<string, { min?: string; max?: string; nulls: number }>>;

/** What maintenance and queries have to know of a live file; its columns' bounds are long, and looked at by neither. */
export interface LiveFile
  extends Pick<NewPartition, "partitionId" | "viewName" | "file" | "day" | "minNs" | "maxNs"> {
  rows: number;
  /** The number of the view's columns when it was made; files with different ones are not merged. */
  schemaId: number;
  insertNs: bigint;
}

export interface PartitionRow extends Omit<NewPartition, "columns"> {
  schemaId: number;
  state: "live" | "dropped";
  insertNs: bigint;
  droppedNs: bigint | undefined;
}

export type Raw = Readonly<Record<string, unknown>>;

// SQLite gives BIGINT as BigInt, PostgreSQL's driver smaller ones as numbers.
const text = (raw: Raw, column: string) => String(raw[column]);
const count = (raw: Raw, column: string) => Number(raw[column]);
const long = (raw: Raw, column: string) => BigInt(raw[column] as bigint);

export function processOf(raw: Raw): ProcessRow {
  return {
    processId: text(raw, "process_id"),
    app: text(raw, "app"),
    service: text(raw, "service"),
    pid: count(raw, "pid"),
    host: text(raw, "host"),
    user: text(raw, "user_name"),
    exe: text(raw, "exe"),
    runtime: text(raw, "runtime"),
    startNs: long(raw, "start_ns"),
    properties: JSON.parse(text(raw, "properties")),
  };
}

export function streamOf(raw: Raw): StreamRow {
  return {
    streamId: text(raw, "stream_id"),
    processId: text(raw, "process_id"),
    threadId: count(raw, "thread_id"),
    startNs: long(raw, "start_ns"),
    endedNs: raw["ended_ns"] === null ? undefined : long(raw, "ended_ns"),
  };
}

export function blockOf(raw: Raw): BlockRow {
  return {
    blockId: text(raw, "block_id"),
    streamId: text(raw, "stream_id"),
    processId: text(raw, "process_id"),
    segmentId: text(raw, "segment_id"),
    blob: text(raw, "blob"),
    blobOffset: count(raw, "blob_offset"),
    blobBytes: count(raw, "blob_bytes"),
    firstWord: count(raw, "first_word"),
    endWord: count(raw, "end_word"),
    beginNs: long(raw, "begin_ns"),
    endNs: long(raw, "end_ns"),
    logs: count(raw, "logs"),
    measures: count(raw, "measures"),
    metrics: count(raw, "metrics"),
    spans: count(raw, "spans"),
    opens: count(raw, "opens"),
    closes: count(raw, "closes"),
    isFinal: count(raw, "is_final") === 1,
    insertNs: long(raw, "insert_ns"),
  };
}

export const LIVE_FILE_COLUMNS =
  "partition_id, view_name, file, day, min_ns, max_ns, row_count, schema_id, insert_ns";

export function liveFileOf(raw: Raw): LiveFile {
  return {
    partitionId: text(raw, "partition_id"),
    viewName: text(raw, "view_name"),
    file: text(raw, "file"),
    day: text(raw, "day"),
    minNs: long(raw, "min_ns"),
    maxNs: long(raw, "max_ns"),
    rows: count(raw, "row_count"),
    schemaId: count(raw, "schema_id"),
    insertNs: long(raw, "insert_ns"),
  };
}

export function partitionOf(raw: Raw): PartitionRow {
  return {
    ...liveFileOf(raw),
    bytes: count(raw, "bytes"),
    bounds: JSON.parse(text(raw, "bounds")),
    state: text(raw, "state") === "live" ? "live" : "dropped",
    droppedNs: raw["dropped_ns"] === null ? undefined : long(raw, "dropped_ns"),
  };
}
