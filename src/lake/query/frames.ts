// What a query process and the lake say to each other. To the process: a line of JSON each. From it, on its standard
// output: frames of a letter, a length (u32, little-endian) and as many bytes. Used by process.ts and child.ts.

import type { RowTable } from "./tables.ts";

export const FORMATS = ["ndjson", "csv", "arrow", "parquet"] as const;
export type Format = (typeof FORMATS)[number];

/** The first line, when the process starts, before there is a query. */
export interface Setup {
  threads: number;
  memoryBytes: number;
  tables: readonly string[];
}

/** The second line. */
export interface Question {
  sql: string;
  format: Format;
}

/** The third line, the answer to frame `tables`. */
export interface Given {
  files: readonly string[];
  rows: readonly RowTable[];
  statements: readonly string[];
}

export const FRAME = {
  /** Set up, and waiting for a query. No bytes. */
  ready: "R",
  /** The SQL has passed; JSON: the tables that it names. */
  tables: "T",
  /** The query has begun; JSON: its columns. */
  columns: "C",
  /** Bytes of the answer. */
  data: "D",
  /** JSON: how much of it is done, from 0 to 1. */
  progress: "P",
  /** All is said; JSON: how many rows there were. */
  end: "E",
  /** JSON: an error. The process ends. */
  error: "X",
} as const;
export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

export interface Frame {
  kind: FrameKind;
  bytes: Uint8Array;
}

const HEADER_BYTES = 5;
/** No frame is longer: rows of a query are, so data is split. */
export const MAX_FRAME_BYTES = 1 << 20;

export function frameHeader(kind: FrameKind, bytes: number): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  header[0] = kind.charCodeAt(0);
  new DataView(header.buffer).setUint32(1, bytes, true);
  return header;
}

/**
 * Frames out of the bytes that a process wrote.
 * @throws RangeError for bytes that are no frames
 */
export async function* framesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Frame, void> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const bytes of stream) {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    for (;;) {
      if (rest.length < HEADER_BYTES) break;
      const length = new DataView(rest.buffer, rest.byteOffset).getUint32(1, true);
      if (length > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${length} bytes`);
      if (rest.length < HEADER_BYTES + length) break;
      const kind = String.fromCharCode(rest[0]!) as FrameKind;
      yield { kind, bytes: rest.subarray(HEADER_BYTES, HEADER_BYTES + length) };
      rest = rest.subarray(HEADER_BYTES + length);
    }
  }
}
