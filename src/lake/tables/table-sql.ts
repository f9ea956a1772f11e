// The tables that queries see, as SELECTs over files of views and over rows of the catalogue. What a range means is said
// here: a row is in it when its time is, and a span when it began in it, whichever files hold it.

import type { TimeRange } from "../catalogue/index.ts";
import { parquetSql, sqlTexts } from "../sql-text.ts";
import { FOREVER_NS } from "../times.ts";
import { FILES, type FileView, spanName } from "../views/index.ts";

export const TABLES = [
  ...["log_entries", "measures", "metrics", "spans", "thread_spans", "async_events"],
  ...["processes", "streams", "blocks"],
] as const;
export type Table = (typeof TABLES)[number];

/** Tables of rows that the catalogue has, as they are handed over: names and types of columns. */
export const ROW_TABLES = {
  processes: {
    ...{ process_id: "VARCHAR", app: "VARCHAR", service: "VARCHAR", pid: "BIGINT" },
    ...{ host: "VARCHAR", user_name: "VARCHAR", exe: "VARCHAR", runtime: "VARCHAR" },
    ...{ start_ns: "BIGINT", properties: "MAP(VARCHAR, VARCHAR)" },
  },
  streams: {
    ...{ stream_id: "VARCHAR", process_id: "VARCHAR", thread: "BIGINT" },
    ...{ start_ns: "BIGINT", end_ns: "BIGINT" },
  },
  blocks: {
    ...{ block_id: "VARCHAR", stream_id: "VARCHAR", process_id: "VARCHAR" },
    ...{ begin_ns: "BIGINT", end_ns: "BIGINT", insert_ns: "BIGINT", bytes: "BIGINT" },
    ...{ logs: "BIGINT", measures: "BIGINT", metrics: "BIGINT" },
    ...{ spans: "BIGINT", opens: "BIGINT", closes: "BIGINT", is_final: "BOOLEAN" },
  },
} as const;
export type RowTableName = keyof typeof ROW_TABLES;

/** Streams that have ended, so that what is open there stays so. A table of one column, `stream_id`. */
export const ENDED_STREAMS = "lake_ended_streams";
/** What the rows of the catalogue are called before they are a table. */
export function rowsName(table: RowTableName): string {
  return `lake_${table}`;
}

/** Files of one kind that a query reads. */
export interface ReadFiles {
  /** Absolute. */
  paths: readonly string[];
  /** All of their rows are in the query's range, so that none has to be looked at for its time. */
  areInside: boolean;
  /** They have the same columns: then the first says which, and the others are not opened for it. */
  areAlike: boolean;
}
export type FilesByView = Readonly<Partial<Record<FileView, ReadFiles>>>;

/** Kinds of files that a table is made of. */
export const FILES_OF: Readonly<Record<Table, readonly FileView[]>> = {
  log_entries: ["log_entries"],
  measures: ["measures"],
  metrics: ["metrics"],
  spans: ["spans", "span_opens", "span_closes"],
  thread_spans: ["spans", "span_opens", "span_closes"],
  async_events: ["spans", "span_opens", "span_closes"],
  processes: [],
  streams: [],
  blocks: [],
};

/** Times of rows, which have only nanoseconds. */
const TIMES: Readonly<Record<RowTableName, readonly string[]>> = {
  processes: ["start"],
  streams: ["start", "end"],
  blocks: ["begin", "end", "insert"],
};

/**
 * `CREATE VIEW` of a table. Where it is made of rows, they are there already.
 * @param apps undefined: rows of all applications
 */
export function createTableSql(
  table: Table,
  files: FilesByView,
  range: TimeRange,
  apps?: readonly string[],
): string {
  const select = selectOf(table, files, range);
  return `CREATE VIEW ${table} AS ${apps === undefined || table in ROW_TABLES ? select : fenced(select, apps)}`;
}

/**
 * Rows of some applications. What the caller computes must not see those of others, not even to fail because of them, and
 * no condition is moved below a LIMIT.
 */
function fenced(select: string, apps: readonly string[]): string {
  return `SELECT * FROM (${select}) WHERE ${apps.length === 0 ? "false" : `app IN (${sqlTexts(apps)})`} LIMIT ${FOREVER_NS}`;
}

interface ColumnDescription {
  name: string;
  type: string;
}

/** All tables with their columns, by their types in DuckDB. */
export function describeTables(): { name: Table; columns: ColumnDescription[] }[] {
  return TABLES.map((name) => ({ name, columns: columnsOf(name) }));
}

function columnsOf(table: Table): ColumnDescription[] {
  const of = (types: Readonly<Record<string, string>>) =>
    Object.entries(types).map(([name, type]) => ({ name, type: TYPE_NAMES[type] ?? type }));
  const times = (names: readonly string[]) =>
    of(Object.fromEntries(names.map((name) => [name, TIME])));
  const ofFile = (view: FileView, names: readonly string[]) =>
    names.flatMap((name) =>
      of(
        Object.fromEntries(
          FILES[view].columns.filter((each) => each.name === name).map(({ type }) => [name, type]),
        ),
      ),
    );
  switch (table) {
    case "log_entries":
    case "measures":
    case "metrics":
      return ofFile(
        table,
        FILES[table].columns.map(({ name }) => name),
      );
    case "spans":
    case "thread_spans":
      return [
        ...times(["begin_time", "end_time"]),
        ...of({ begin_ns: "BIGINT", end_ns: "BIGINT", duration_ms: "DOUBLE" }),
        ...ofFile("spans", [...SAME, "status", ...SAME_AFTER, "properties"]).filter(
          ({ name }) => table === "spans" || name !== "is_async",
        ),
      ];
    case "async_events":
      return [
        ...times(["time"]),
        ...of({ time_ns: "BIGINT", event: "VARCHAR" }),
        ...ofFile("spans", [...SAME, "status", "name", "target", "place", "properties"]),
      ];
    default:
      return [...of(ROW_TABLES[table]), ...times(TIMES[table].map((name) => `${name}_time`))];
  }
}

const TIME = "TIMESTAMPTZ";
/** As DuckDB calls them in answers. */
const TYPE_NAMES: Readonly<Record<string, string>> = { [TIME]: "TIMESTAMP WITH TIME ZONE" };

function selectOf(table: Table, files: FilesByView, range: TimeRange): string {
  switch (table) {
    case "log_entries":
    case "measures":
    case "metrics":
      return `SELECT * FROM ${readWithin(table, files, range)}`;
    case "spans":
      return spansSql(files, range);
    case "thread_spans":
      return `SELECT * EXCLUDE (is_async) FROM (${spansSql(files, range)}) WHERE NOT is_async`;
    case "async_events":
      return asyncEventsSql(files, range);
    default: {
      const times = TIMES[table].map((name) => `${time(`${name}_ns`)} AS ${name}_time`);
      return `SELECT *, ${times.join(", ")} FROM ${rowsName(table)}`;
    }
  }
}

function time(column: string): string {
  return `make_timestamptz(${column} // 1000)`;
}

/** Rows of a range. */
function readWithin(view: FileView, files: FilesByView, { fromNs, toNs }: TimeRange): string {
  const rows = read(view, files);
  if (files[view]?.areInside ?? true) return rows;
  const { timeColumn } = FILES[view];
  return `(SELECT * FROM ${rows} WHERE ${timeColumn} >= ${fromNs} AND ${timeColumn} < ${toNs})`;
}

/** Files as a table; with none of them, a table without rows. */
function read(view: FileView, files: FilesByView): string {
  const { columns } = FILES[view];
  const paths = files[view]?.paths ?? [];
  if (paths.length === 0) {
    const none = columns.map(({ name, type }) => `NULL::${type} AS ${name}`);
    return `(SELECT ${none.join(", ")} WHERE false)`;
  }
  const names = columns.map(({ name }) => name).join(", ");
  return `(SELECT ${names} FROM ${parquetSql(paths, files[view]?.areAlike)})`;
}

/** Columns that whole spans and spans in halves have as they are. */
const SAME = [
  ...["app", "service", "host", "process_id", "stream_id", "thread"],
  ...["trace_id", "span_id", "parent_id", "depth", "kind"],
];
const SAME_AFTER = ["is_async", "name", "target", "place"];

function spanColumns(
  from: string,
  end: string,
  status: string,
  properties: string,
  name = `${from}.name`,
): string {
  const same = (names: readonly string[]) =>
    names.map((each) => (each === "name" ? `${name} AS name` : `${from}.${each}`)).join(", ");
  return `${from}.begin_time, ${time(end)} AS end_time, ${from}.begin_ns, ${end} AS end_ns,
    (${end} - ${from}.begin_ns) / 1e6 AS duration_ms, ${same(SAME)}, ${status} AS status,
    ${same(SAME_AFTER)}, ${properties} AS properties`;
}

/** Of halves, an end belongs to the last span of its stream and id that began before it. */
function spansSql(files: FilesByView, range: TimeRange): string {
  const whole = `SELECT ${spanColumns("s", "s.end_ns", "s.status", "s.properties")}
    FROM ${readWithin("spans", files, range)} s`;
  if (files.span_opens === undefined) return whole;
  const status = "coalesce(c.status, CASE WHEN e.stream_id IS NULL THEN 'open' ELSE 'lost' END)";
  const properties =
    "CASE WHEN c.properties IS NULL THEN o.properties ELSE map_concat(o.properties, c.properties) END";
  return `${whole} UNION ALL BY NAME SELECT ${spanColumns("o", "c.end_ns", status, properties, spanName("o.name", "c.properties"))}
    FROM ${readWithin("span_opens", files, range)} o
    ASOF LEFT JOIN ${read("span_closes", files)} c
      ON o.stream_id = c.stream_id AND o.span_id = c.span_id AND o.begin_ns <= c.end_ns
    LEFT JOIN ${ENDED_STREAMS} e ON e.stream_id = o.stream_id`;
}

/** A row where an asynchronous span begins, and one where it ends, if it has. */
function asyncEventsSql(files: FilesByView, range: TimeRange): string {
  const same = [...SAME, "status", "name", "target", "place", "properties"].join(", ");
  return `WITH s AS (SELECT * FROM (${spansSql(files, range)}) WHERE is_async)
    SELECT begin_time AS time, begin_ns AS time_ns, 'begin' AS event, ${same} FROM s
    UNION ALL SELECT end_time, end_ns, 'end', ${same} FROM s WHERE end_ns IS NOT NULL`;
}

/** Whether a table needs {@link ENDED_STREAMS}. */
export function needsEndedStreams(table: Table): boolean {
  return FILES_OF[table].includes("span_opens");
}
