// Makes files out of files: a large one of small ones, and whole spans of their halves. DuckDB sorts, and puts on disk what
// does not fit into its memory. No row is lost on the way: what comes out is counted.

import type { NewPartition } from "../catalogue/index.ts";
import { parquetSql } from "../sql-text.ts";
import { FILES, type FileView, spanName } from "./files.ts";
import type { ParquetWriter } from "./parquet-writer.ts";
import type { OldFile, Tasks } from "./worker-protocol.ts";

function from(writer: ParquetWriter, files: readonly { file: string }[]): string {
  return parquetSql(files.map(({ file }) => writer.pathOf(file)));
}

function rowsOf(files: readonly { rows: number }[]): number {
  return files.reduce((sum, { rows }) => sum + rows, 0);
}

function columnsOf(view: FileView, table?: string): string {
  const prefix = table === undefined ? "" : `${table}.`;
  return FILES[view].columns.map(({ name }) => `${prefix}${name}`).join(", ");
}

export async function mergeFiles(
  writer: ParquetWriter,
  { view, files }: Tasks["merge"]["given"],
): Promise<NewPartition[]> {
  const select = `SELECT ${columnsOf(view)} FROM ${from(writer, files)} ORDER BY ${FILES[view].timeColumn}`;
  return await writeAll(writer, [[view, files[0]!.day, select]], rowsOf(files));
}

export async function joinHalves(
  writer: ParquetWriter,
  { opens, closes }: Tasks["join"]["given"],
): Promise<Tasks["join"]["done"]> {
  const { connection } = writer.database;
  // Pairs as the view `spans` makes them: an end belongs to the last that began before it. Beginnings that somebody sent
  // twice, so that nothing tells them apart, stay halves, which the view joins.
  await connection.run(`CREATE OR REPLACE TABLE pairs AS
    SELECT o.stream_id, o.span_id, o.begin_ns, c.end_ns, c.status, c.properties
    FROM ${from(writer, opens)} o ASOF JOIN ${from(writer, closes)} c
      ON o.stream_id = c.stream_id AND o.span_id = c.span_id AND o.begin_ns <= c.end_ns
    QUALIFY count(*) OVER (PARTITION BY o.stream_id, o.span_id, o.begin_ns) = 1
      AND count(*) OVER (PARTITION BY c.stream_id, c.span_id, c.end_ns) = 1`);
  try {
    const count = async (sql: string) =>
      Number((await connection.runAndReadAll(`SELECT count(*) FROM ${sql}`)).getRowsJson()[0]![0]);
    const pairs = await count("pairs");
    if (pairs === 0) return { partitions: [], pairs };
    // An end that came twice goes twice.
    const ended = await count(
      `${from(writer, closes)} SEMI JOIN pairs USING (stream_id, span_id, end_ns)`,
    );
    const spans = FILES.spans.columns.map(({ name }) => {
      if (name === "end_ns" || name === "status") return `p.${name}`;
      if (name === "name") return spanName("o.name", "p.properties");
      return name === "properties" ? "map_concat(o.properties, p.properties)" : `o.${name}`;
    });
    const joined = `SELECT * FROM (SELECT ${spans.join(", ")} FROM ${from(writer, opens)} o
      JOIN pairs p USING (stream_id, span_id, begin_ns)) AS t (${columnsOf("spans")}) ORDER BY begin_ns`;
    const left = (view: FileView, files: readonly OldFile[], key: string) =>
      `SELECT ${columnsOf(view, "h")} FROM ${from(writer, files)} h
        ANTI JOIN pairs p USING (stream_id, span_id, ${key}) ORDER BY ${key}`;
    const day = opens[0]!.day;
    const days = [...new Set(closes.map((each) => each.day))];
    const partitions = await writeAll(
      writer,
      [
        ["spans", day, joined],
        ["span_opens", day, left("span_opens", opens, "begin_ns")],
        ...days.map((each): [FileView, string, string] => {
          const ofDay = closes.filter((close) => close.day === each);
          return ["span_closes", each, left("span_closes", ofDay, "end_ns")];
        }),
      ],
      pairs + (rowsOf(opens) - pairs) + (rowsOf(closes) - ended),
    );
    return { partitions, pairs };
  } finally {
    await connection.run("DROP TABLE IF EXISTS pairs");
  }
}

export async function unmatchedStreams(
  writer: ParquetWriter,
  { opens, closes, fromNs, toNs }: Tasks["unmatched"]["given"],
): Promise<string[]> {
  if (opens.length === 0) return [];
  const files = (all: readonly string[]) =>
    from(
      writer,
      all.map((file) => ({ file })),
    );
  const ended =
    closes.length === 0 ? "" : `ANTI JOIN ${files(closes)} c USING (stream_id, span_id)`;
  const reader = await writer.database.connection.runAndReadAll(
    `SELECT DISTINCT o.stream_id FROM ${files(opens)} o ${ended}
      WHERE o.begin_ns >= ${fromNs} AND o.begin_ns < ${toNs}`,
  );
  return reader.getRowsJson().map(([id]) => String(id));
}

/** @throws Error when there are other than the expected rows; then no file is left */
async function writeAll(
  writer: ParquetWriter,
  selects: readonly (readonly [view: FileView, day: string, select: string])[],
  expectedRows: number,
): Promise<NewPartition[]> {
  const partitions: NewPartition[] = [];
  try {
    for (const [view, day, select] of selects) {
      const partition = await writer.write(view, day, select);
      if (partition !== undefined) partitions.push(partition);
    }
    const rows = rowsOf(partitions);
    if (rows !== expectedRows)
      throw new Error(`${rows} rows came out of files that should give ${expectedRows}`);
    return partitions;
  } catch (error) {
    writer.discard(partitions);
    throw error;
  }
}
