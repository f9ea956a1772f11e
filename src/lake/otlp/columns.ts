// Rows into the columns of blocks. A resource's rows are one block, or several where there are very many.

import {
  type BlockColumns,
  blankCloses,
  blankLogs,
  blankMeasures,
  blankSpans,
  type TextColumn,
} from "../../layout/index.ts";
import { DAY_NS } from "../times.ts";

export interface LogRow {
  timeNs: bigint;
  level: number;
  target: string;
  message: string;
  spanId: bigint;
  properties: string;
}

export interface MeasureRow {
  timeNs: bigint;
  name: string;
  unit: string;
  target: string;
  value: number;
  properties: string;
}

export interface SpanRow {
  beginNs: bigint;
  endNs: bigint;
  spanId: bigint;
  parentId: bigint;
  traceHigh: bigint;
  traceLow: bigint;
  kind: number;
  status: number;
  name: string;
  target: string;
  place: string;
  properties: string;
}

/** Rows of one resource. */
export interface Rows {
  logs: LogRow[];
  measures: MeasureRow[];
  spans: SpanRow[];
}

/** Rows of a block, and what their texts may have together: a block unpacks to 64 MiB at most. */
const ROWS_MAX = 1 << 16;
const CHARACTERS_MAX = 1 << 22;
/** Between the times of a block's rows: what is from other months is in another block. */
const BLOCK_NS_MAX = 30n * DAY_NS;

/** Columns of all rows, for a block each. */
export function* columnsOf({ logs, measures, spans }: Rows): Generator<BlockColumns> {
  for (const part of partsOf(logs, ({ timeNs }) => timeNs))
    yield { ...none(), logs: logColumns(part) };
  for (const part of partsOf(measures, ({ timeNs }) => timeNs))
    yield { ...none(), measures: measureColumns(part) };
  for (const part of partsOf(spans, ({ beginNs }) => beginNs))
    yield { ...none(), spans: spanColumns(part) };
}

/** Some rows at a time, in the order of their times. */
function* partsOf<Row extends LogRow | MeasureRow | SpanRow>(
  rows: readonly Row[],
  timeOf: (row: Row) => bigint,
): Generator<readonly Row[]> {
  const sorted = rows.toSorted((a, b) => Number(timeOf(a) - timeOf(b)));
  let from = 0;
  let characters = 0;
  for (const [i, row] of sorted.entries()) {
    const more = charactersOf(row);
    const isFull = i - from === ROWS_MAX || characters + more > CHARACTERS_MAX;
    if (i > from && (isFull || timeOf(row) - timeOf(sorted[from]!) > BLOCK_NS_MAX)) {
      yield sorted.slice(from, i);
      from = i;
      characters = 0;
    }
    characters += more;
  }
  if (from < sorted.length) yield sorted.slice(from);
}

/** Characters of all texts of a row. */
export function charactersOf(row: LogRow | MeasureRow | SpanRow): number {
  let characters = 0;
  for (const value of Object.values(row)) if (typeof value === "string") characters += value.length;
  return characters;
}

function none(): BlockColumns {
  return {
    ...{ logs: blankLogs(), measures: blankMeasures(), closes: blankCloses() },
    ...{ spans: blankSpans(), opens: blankSpans() },
  };
}

function logColumns(rows: readonly LogRow[]): BlockColumns["logs"] {
  const columns = blankLogs(rows.length);
  for (const [i, row] of rows.entries()) {
    columns.timeNs[i] = row.timeNs;
    columns.level[i] = row.level;
    columns.spanId[i] = row.spanId;
  }
  return {
    ...columns,
    target: texts(rows, ({ target }) => target),
    message: texts(rows, ({ message }) => message),
    properties: texts(rows, ({ properties }) => properties),
  };
}

function measureColumns(rows: readonly MeasureRow[]): BlockColumns["measures"] {
  const columns = blankMeasures(rows.length);
  for (const [i, row] of rows.entries()) {
    columns.timeNs[i] = row.timeNs;
    columns.value[i] = row.value;
  }
  return {
    ...columns,
    name: texts(rows, ({ name }) => name),
    unit: texts(rows, ({ unit }) => unit),
    target: texts(rows, ({ target }) => target),
    properties: texts(rows, ({ properties }) => properties),
  };
}

function spanColumns(rows: readonly SpanRow[]): BlockColumns["spans"] {
  const columns = blankSpans(rows.length);
  for (const [i, row] of rows.entries()) {
    columns.beginNs[i] = row.beginNs;
    columns.endNs[i] = row.endNs;
    columns.spanId[i] = row.spanId;
    columns.parentId[i] = row.parentId;
    columns.traceHigh[i] = row.traceHigh;
    columns.traceLow[i] = row.traceLow;
    columns.kind[i] = row.kind;
    columns.status[i] = row.status;
    // It says nothing of threads.
    columns.isAsync[i] = 1;
  }
  return {
    ...columns,
    name: texts(rows, ({ name }) => name),
    target: texts(rows, ({ target }) => target),
    place: texts(rows, ({ place }) => place),
    properties: texts(rows, ({ properties }) => properties),
  };
}

function texts<Row>(rows: readonly Row[], pick: (row: Row) => string): TextColumn {
  const known = new Map<string, number>();
  const index = new Uint32Array(rows.length);
  for (const [i, row] of rows.entries()) {
    const text = pick(row);
    if (!known.has(text)) known.set(text, known.size);
    index[i] = known.get(text)!;
  }
  return { index, texts: [...known.keys()] };
}
