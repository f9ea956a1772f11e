// What a block holds when it is decoded: tables of columns. Makers of blocks from other sources than a ring (OTLP)
// fills them, and ingestion and views read them.

/** Texts of rows, by number. Several numbers may have the same text. */
export interface TextColumn {
  index: Uint32Array;
  texts: readonly string[];
}

/** A row for each log. */
export interface LogColumns {
  rows: number;
  /** Unix time in nanoseconds, here as everywhere. */
  timeNs: BigInt64Array;
  /** Index in LEVELS. */
  level: Uint8Array;
  target: TextColumn;
  message: TextColumn;
  /** The span that it belongs to; 0 for none. */
  spanId: BigUint64Array;
  /** A JSON object; "" for none. */
  properties: TextColumn;
}

/** A row for each value of a measure. */
export interface MeasureColumns {
  rows: number;
  timeNs: BigInt64Array;
  name: TextColumn;
  unit: TextColumn;
  target: TextColumn;
  value: Float64Array;
  properties: TextColumn;
}

/** A row for each span whose beginning and end are in the block. */
export interface SpanColumns {
  rows: number;
  beginNs: BigInt64Array;
  endNs: BigInt64Array;
  spanId: BigUint64Array;
  /** 0 for none. */
  parentId: BigUint64Array;
  /** The trace's id: its first eight bytes, and its last. */
  traceHigh: BigUint64Array;
  traceLow: BigUint64Array;
  /** Spans above it in its thread. */
  depth: Uint16Array;
  /** Index in SPAN_KINDS. */
  kind: Uint8Array;
  /** 1 where it does not end before what began before it goes on. */
  isAsync: Uint8Array;
  /** Index in SPAN_STATUSES. */
  status: Uint8Array;
  name: TextColumn;
  target: TextColumn;
  /** "file:line" of the declaration; "" where unknown. */
  place: TextColumn;
  properties: TextColumn;
}

/** A row for each end whose beginning lies in an earlier block of the stream. */
export interface CloseColumns {
  rows: number;
  spanId: BigUint64Array;
  endNs: BigInt64Array;
  status: Uint8Array;
  /** What was set after the beginning. */
  properties: TextColumn;
}

export interface BlockColumns {
  logs: LogColumns;
  measures: MeasureColumns;
  spans: SpanColumns;
  /** Spans that have begun and whose end is not in the block: `endNs` and `status` are 0. */
  opens: SpanColumns;
  closes: CloseColumns;
}

export const SPAN_STATUSES = ["ok", "error"] as const;

/** Rows that all tables of a block may have together. */
export const BLOCK_ROWS_MAX = 1 << 20;

function noTexts(rows: number): TextColumn {
  return { index: new Uint32Array(rows), texts: [""] };
}

/** Tables with so many rows, all zero and "", to be filled. */
export function blankLogs(rows = 0): LogColumns {
  return {
    rows,
    timeNs: new BigInt64Array(rows),
    level: new Uint8Array(rows),
    target: noTexts(rows),
    message: noTexts(rows),
    spanId: new BigUint64Array(rows),
    properties: noTexts(rows),
  };
}

export function blankMeasures(rows = 0): MeasureColumns {
  return {
    rows,
    timeNs: new BigInt64Array(rows),
    name: noTexts(rows),
    unit: noTexts(rows),
    target: noTexts(rows),
    value: new Float64Array(rows),
    properties: noTexts(rows),
  };
}

export function blankSpans(rows = 0): SpanColumns {
  return {
    rows,
    beginNs: new BigInt64Array(rows),
    endNs: new BigInt64Array(rows),
    spanId: new BigUint64Array(rows),
    parentId: new BigUint64Array(rows),
    traceHigh: new BigUint64Array(rows),
    traceLow: new BigUint64Array(rows),
    depth: new Uint16Array(rows),
    kind: new Uint8Array(rows),
    isAsync: new Uint8Array(rows),
    status: new Uint8Array(rows),
    name: noTexts(rows),
    target: noTexts(rows),
    place: noTexts(rows),
    properties: noTexts(rows),
  };
}

export function blankCloses(rows = 0): CloseColumns {
  return {
    rows,
    spanId: new BigUint64Array(rows),
    endNs: new BigInt64Array(rows),
    status: new Uint8Array(rows),
    properties: noTexts(rows),
  };
}
