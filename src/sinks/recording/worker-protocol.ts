// What the collecting thread and the one that writes a recording tell each other.

import type { SnapshotDetail } from "./format.ts";

/** A pool that the file knows from now on. */
export interface PoolNews {
  pool: number;
  source: string;
  app: string;
}

/** A series that the file knows from now on. */
export interface SeriesNews {
  series: number;
  pool: number;
  service: string;
  metric: string;
  kind: string;
  unit: string;
  /** JSON. */
  labels: string;
  writer: number | null;
  pid: number | null;
  thread: number | null;
  /** JSON. */
  definition: string;
  /** Of its first slot; slots follow each other. */
  firstCell: number;
  /** Upper bounds of its buckets. */
  bounds: Float64Array | undefined;
  slots: number;
}

/** Values that have changed, in the order of their snapshots. A cell is a slot of a series. */
export interface ChangedValues {
  kind: "rows";
  count: number;
  cells: Int32Array<ArrayBuffer>;
  snapshots: Int32Array<ArrayBuffer>;
  values: Float64Array<ArrayBuffer>;
}

/** The snapshots of a block, by column; an index is the snapshot's number in the block. */
export interface SnapshotColumns {
  pool: number[];
  timeUs: number[];
  missed: number[];
  latenessMs: number[];
  detail: SnapshotDetail[];
}

/** All rows of a block have been told; this is the rest of it. */
export interface Block {
  kind: "block";
  pools: PoolNews[];
  series: SeriesNews[];
  snapshots: SnapshotColumns;
  /** Series that are there, and from which snapshot on. */
  present: { series: number[]; snapshots: number[] };
  /** Pools and series that no later block has. */
  ended: { pools: number[]; series: number[] };
}

export type ToRecorder =
  | { kind: "open"; path: string; replace: boolean; perWriter: boolean }
  | ChangedValues
  | Block
  | { kind: "close" };

export type FromRecorder =
  | { kind: "opened" }
  /** A block is closed: what it holds outlives this process. */
  | { kind: "written"; rows: number; bytes: number }
  | { kind: "closed"; bytes: number }
  | { kind: "failed"; message: string; code: string | undefined; missing: boolean };
