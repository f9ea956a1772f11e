// What the Parquet files of the lake hold: columns, their order, and the field ids by which Iceberg knows them. Files that
// are on disk were written by this table, so a column's id never changes and is never given to another.

import { SPAN_NAME_PROPERTY } from "../../layout/index.ts";
import { sqlText } from "../sql-text.ts";

/** Kinds of files. Three of them make up the table `spans`. */
export const FILE_VIEWS = [
  "log_entries",
  "measures",
  "metrics",
  "spans",
  "span_opens",
  "span_closes",
] as const;
export type FileView = (typeof FILE_VIEWS)[number];

interface Column {
  name: string;
  id: number;
  type: string;
  /** Field ids of what a map holds. */
  entry?: { key: number; value: number };
}

export interface FileFormat {
  columns: readonly Column[];
  /** Rows are sorted by this one, in ns; it also says to which day a row belongs. */
  timeColumn: string;
}

function column(id: number, name: string, type: string): Column {
  return { id, name, type };
}

/** The entry's ids follow the column's own. */
function map(id: number, name: string): Column {
  return { id, name, type: "MAP(VARCHAR, VARCHAR)", entry: { key: id + 1, value: id + 2 } };
}

export const FILES: Readonly<Record<FileView, FileFormat>> = {
  log_entries: {
    timeColumn: "time_ns",
    columns: [
      column(1, "time", "TIMESTAMPTZ"),
      column(2, "time_ns", "BIGINT"),
      column(3, "app", "VARCHAR"),
      column(4, "service", "VARCHAR"),
      column(5, "host", "VARCHAR"),
      column(6, "process_id", "VARCHAR"),
      column(7, "stream_id", "VARCHAR"),
      column(8, "pid", "INTEGER"),
      column(9, "thread", "INTEGER"),
      column(10, "level", "VARCHAR"),
      column(11, "level_number", "INTEGER"),
      column(12, "target", "VARCHAR"),
      column(13, "message", "VARCHAR"),
      column(14, "span_id", "VARCHAR"),
      map(15, "properties"),
    ],
  },
  measures: {
    timeColumn: "time_ns",
    columns: [
      column(1, "time", "TIMESTAMPTZ"),
      column(2, "time_ns", "BIGINT"),
      column(3, "app", "VARCHAR"),
      column(4, "service", "VARCHAR"),
      column(5, "host", "VARCHAR"),
      column(6, "process_id", "VARCHAR"),
      column(7, "stream_id", "VARCHAR"),
      column(8, "target", "VARCHAR"),
      column(9, "name", "VARCHAR"),
      column(10, "unit", "VARCHAR"),
      column(11, "value", "DOUBLE"),
      map(12, "properties"),
    ],
  },
  metrics: {
    timeColumn: "time_ns",
    columns: [
      column(1, "time", "TIMESTAMPTZ"),
      column(2, "time_ns", "BIGINT"),
      column(3, "app", "VARCHAR"),
      column(4, "service", "VARCHAR"),
      column(5, "host", "VARCHAR"),
      column(6, "process_id", "VARCHAR"),
      column(7, "stream_id", "VARCHAR"),
      column(8, "name", "VARCHAR"),
      column(9, "kind", "VARCHAR"),
      column(10, "unit", "VARCHAR"),
      column(11, "value", "DOUBLE"),
      map(12, "labels"),
    ],
  },
  // The end as a time and the duration follow from these; to keep them would make files nearly twice as large.
  spans: {
    timeColumn: "begin_ns",
    columns: [
      column(1, "begin_time", "TIMESTAMPTZ"),
      column(2, "begin_ns", "BIGINT"),
      column(3, "end_ns", "BIGINT"),
      column(4, "app", "VARCHAR"),
      column(5, "service", "VARCHAR"),
      column(6, "host", "VARCHAR"),
      column(7, "process_id", "VARCHAR"),
      column(8, "stream_id", "VARCHAR"),
      column(9, "thread", "INTEGER"),
      column(10, "trace_id", "VARCHAR"),
      column(11, "span_id", "VARCHAR"),
      column(12, "parent_id", "VARCHAR"),
      column(13, "depth", "INTEGER"),
      column(14, "kind", "VARCHAR"),
      column(15, "status", "VARCHAR"),
      column(16, "is_async", "BOOLEAN"),
      column(17, "name", "VARCHAR"),
      column(18, "target", "VARCHAR"),
      column(19, "place", "VARCHAR"),
      map(20, "properties"),
    ],
  },
  span_opens: {
    timeColumn: "begin_ns",
    columns: [
      column(1, "begin_time", "TIMESTAMPTZ"),
      column(2, "begin_ns", "BIGINT"),
      column(3, "app", "VARCHAR"),
      column(4, "service", "VARCHAR"),
      column(5, "host", "VARCHAR"),
      column(6, "process_id", "VARCHAR"),
      column(7, "stream_id", "VARCHAR"),
      column(8, "thread", "INTEGER"),
      column(9, "trace_id", "VARCHAR"),
      column(10, "span_id", "VARCHAR"),
      column(11, "parent_id", "VARCHAR"),
      column(12, "depth", "INTEGER"),
      column(13, "kind", "VARCHAR"),
      column(14, "is_async", "BOOLEAN"),
      column(15, "name", "VARCHAR"),
      column(16, "target", "VARCHAR"),
      column(17, "place", "VARCHAR"),
      map(18, "properties"),
    ],
  },
  span_closes: {
    timeColumn: "end_ns",
    columns: [
      column(1, "end_time", "TIMESTAMPTZ"),
      column(2, "end_ns", "BIGINT"),
      column(3, "stream_id", "VARCHAR"),
      column(4, "span_id", "VARCHAR"),
      column(5, "status", "VARCHAR"),
      map(6, "properties"),
    ],
  },
};

/** The columns of a view's files, as JSON: equal for the same columns. */
export function columnsText(view: FileView): string {
  return COLUMN_TEXTS[view];
}

const COLUMN_TEXTS = Object.fromEntries(
  FILE_VIEWS.map((view) => [
    view,
    JSON.stringify(
      FILES[view].columns.map(({ id, name, type, entry }) => ({ id, name, type, ...entry })),
    ),
  ]),
) as Record<FileView, string>;

/** `COPY … TO` of rows that have the view's columns, in their order. */
export function copySql(view: FileView, select: string, path: string): string {
  const ids = FILES[view].columns.map(({ name, id, entry }) =>
    entry === undefined
      ? `${name}: ${id}`
      : `${name}: {__duckdb_field_id: ${id}, key: ${entry.key}, value: ${entry.value}}`,
  );
  return `COPY (${select}) TO ${sqlText(path)} (FORMAT parquet, COMPRESSION zstd, RETURN_STATS, USE_TMP_FILE false, PARQUET_VERSION V2, FIELD_IDS {${ids.join(", ")}})`;
}

/** The name of a span, which its end may have changed. @param properties those of the end */
export function spanName(name: string, properties: string): string {
  return `coalesce(${properties}['${SPAN_NAME_PROPERTY}'], ${name})`;
}
