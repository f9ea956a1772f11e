// What the lake and its threads that write Parquet tell each other. A thread does one thing after the other.

import type { BlockView, NewPartition } from "../catalogue/index.ts";
import type { BlockBytes, WrittenBlocks } from "./block-files.ts";
import type { FileView } from "./files.ts";

/** A file that there is, below the lake's folder. */
export interface OldFile {
  file: string;
  day: string;
  rows: number;
}

/** Each thing that can be asked for: what is given, and what comes of it. */
export interface Tasks {
  /** Makes files out of blocks. */
  blocks: { given: { view: BlockView; blocks: BlockBytes[] }; done: WrittenBlocks };
  /** Makes one file out of several of the same view and day. */
  merge: { given: { view: FileView; files: OldFile[] }; done: NewPartition[] };
  /**
   * Joins beginnings of spans, all of one day, with ends; what is left of both is written again.
   * Without any pair, nothing is written.
   */
  join: {
    given: { opens: OldFile[]; closes: OldFile[] };
    done: { partitions: NewPartition[]; pairs: number };
  };
  /** Streams that have beginnings of spans in a range without an end. */
  unmatched: {
    given: { opens: string[]; closes: string[]; fromNs: bigint; toNs: bigint };
    done: string[];
  };
}

export type Task = keyof Tasks;

export interface Setup {
  kind: "setup";
  dir: string;
  memoryBytes: number;
}

export type ToThread =
  | Setup
  | { [T in Task]: { kind: T; id: number; given: Tasks[T]["given"] } }[Task];

export type FromThread =
  | { id: number; done: Tasks[Task]["done"] }
  | { id: number; failure: string };
