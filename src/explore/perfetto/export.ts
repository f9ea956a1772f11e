// Turns what a lake holds for a time range, or of one trace, into a file for Perfetto's viewer. It is fetched in slices of time and
// written as it comes, so that neither side needs memory for all of it.

import type { LakeClient } from "../lake/lake-client.ts";
import { LakeError } from "../lake/lake-error.ts";
import { text, timeNs } from "../lake/row-values.ts";
import { around, type TimeRange } from "../lake/time-range.ts";
import { hasDigits } from "../trace/trace-ids.ts";
import { TracePackets } from "./trace-packets.ts";

export interface ExportOptions {
  readonly range: TimeRange;
  /** Only this trace: its id, or the beginning of one. */
  readonly traceId?: string | undefined;
  /** Told how much is done, from 0 to 1. */
  readonly onProgress?: (share: number) => void;
  /** Rows that the lake sorts at once; tests give fewer. */
  readonly rowsPerSlice?: number;
}

/** What was exported. */
export interface ExportCounts {
  spans: number;
  logs: number;
  measures: number;
}

const ROWS_PER_SLICE = 200_000;
const CHUNK_BYTES = 256 * 1024;
const PROCESSES_MAX = 100_000;

/** Which rows of a table, and how they become packets. */
interface Source {
  readonly kind: keyof ExportCounts;
  readonly table: string;
  readonly time: string;
  readonly columns: string;
  /** Beside time, so that what encloses comes before what it encloses. */
  readonly order?: string;
  readonly where: string;
  readonly take: (row: Record<string, unknown>, packets: TracePackets) => void;
}

/**
 * Pieces of the file, in order.
 * @param counts is counted up
 * @throws LakeError, also when there is nothing to export
 */
export async function* perfettoFile(
  client: LakeClient,
  options: ExportOptions,
  counts: ExportCounts,
  stop?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { range, traceId, onProgress, rowsPerSlice = ROWS_PER_SLICE } = options;
  const pids = await processNumbers(client, range, stop);
  const packets = new TracePackets((processId) => pids.get(processId));
  let about = range;
  let done = 0;
  const plans: { source: Source; extent: Extent; about: TimeRange }[] = [];
  for (const source of sourcesOf(traceId)) {
    const extent = await extentOf(client, source, about, stop);
    if (extent === undefined) continue;
    plans.push({ source, extent, about });
    // What else belongs to a trace lies around its spans.
    if (traceId !== undefined) about = around(extent.beginNs, extent.endNs);
  }
  const total = plans.reduce((sum, { extent }) => sum + extent.rows, 0);
  if (total === 0) {
    throw new LakeError(
      "there is nothing to export in the time that was asked about",
      "--last 1d looks further back",
    );
  }
  for (const { source, extent, about } of plans) {
    for (const slice of slicesOf(extent, rowsPerSlice)) {
      let names: readonly string[] = [];
      for await (const part of client.query(sqlOf(source, slice), about, stop)) {
        if (part.kind === "columns") names = part.columns.map(({ name }) => name);
        if (part.kind !== "rows") continue;
        for (const row of part.rows) {
          source.take(Object.fromEntries(names.map((name, i) => [name, row[i]])), packets);
          if (packets.length >= CHUNK_BYTES) yield packets.take();
        }
        counts[source.kind] += part.rows.length;
        done += part.rows.length;
        onProgress?.(done / total);
      }
    }
  }
  yield packets.take();
}

/** The rows of a source in time. */
interface Extent {
  readonly rows: number;
  readonly beginNs: bigint;
  /** Of the last row's beginning. */
  readonly lastNs: bigint;
  readonly endNs: bigint;
}

async function extentOf(
  client: LakeClient,
  { table, time, where, kind }: Source,
  range: TimeRange,
  stop: AbortSignal | undefined,
): Promise<Extent | undefined> {
  const end = kind === "spans" ? "coalesce(end_ns, begin_ns)" : time;
  const [row] = await client.rows(
    `select count(*) as n, cast(min(${time}) as varchar) as first_text, cast(max(${time}) as varchar) as last_text,
  cast(max(${end}) as varchar) as end_text from ${table} where ${where}`,
    range,
    stop,
  );
  const rows = Number(row?.["n"] ?? 0);
  if (rows === 0) return undefined;
  return {
    rows,
    beginNs: timeNs(row!["first_text"]),
    lastNs: timeNs(row!["last_text"]),
    endNs: timeNs(row!["end_text"]),
  };
}

interface Slice {
  readonly fromNs: bigint;
  readonly untilNs: bigint;
}

/** Of equal length, so many that each has about as many rows as can be sorted at once. */
function* slicesOf({ rows, beginNs, lastNs }: Extent, rowsPerSlice: number): Generator<Slice> {
  const slices = BigInt(Math.max(1, Math.ceil(rows / rowsPerSlice)));
  const lengthNs = (lastNs - beginNs) / slices + 1n;
  for (let fromNs = beginNs; fromNs <= lastNs; fromNs += lengthNs) {
    yield { fromNs, untilNs: fromNs + lengthNs };
  }
}

function sqlOf({ table, time, columns, order, where }: Source, { fromNs, untilNs }: Slice): string {
  return `select ${columns} from ${table}
where ${where} and ${time} >= ${fromNs} and ${time} < ${untilNs} order by ${table}.${time}${order ?? ""}`;
}

const PLACE = "process_id, app, service, host";

function sourcesOf(traceId: string | undefined): Source[] {
  const ofTrace = traceId === undefined ? "true" : hasDigits(traceId);
  const among = (column: string) =>
    traceId === undefined ? "true" : `${column} in (select ${column} from spans where ${ofTrace})`;
  return [
    {
      kind: "spans",
      table: "spans",
      time: "begin_ns",
      columns: `${PLACE}, thread, trace_id, span_id, parent_id, name, kind, status, is_async, target, place,
  properties, cast(begin_ns as varchar) as begin_text, cast(end_ns as varchar) as end_text`,
      order: ", spans.depth",
      where: ofTrace,
      take: (row, packets) =>
        packets.span({
          ...placeOf(row),
          thread: Number(row["thread"] ?? 0),
          traceId: text(row["trace_id"]),
          spanId: text(row["span_id"]),
          parentId: text(row["parent_id"]),
          name: text(row["name"]),
          kind: text(row["kind"]),
          status: text(row["status"]),
          isAsync: row["is_async"] === true,
          target: text(row["target"]),
          place: text(row["place"]),
          properties: row["properties"],
          beginNs: timeNs(row["begin_text"]),
          endNs: row["end_text"] === null ? undefined : timeNs(row["end_text"]),
        }),
    },
    {
      kind: "logs",
      table: "log_entries",
      time: "time_ns",
      columns: `${PLACE}, thread, level, target, message, span_id, properties, cast(time_ns as varchar) as time_text`,
      where: among("span_id"),
      take: (row, packets) =>
        packets.log({
          ...placeOf(row),
          thread: Number(row["thread"] ?? 0),
          level: text(row["level"]),
          target: text(row["target"]),
          message: text(row["message"]),
          spanId: text(row["span_id"]),
          properties: row["properties"],
          timeNs: timeNs(row["time_text"]),
        }),
    },
    {
      kind: "measures",
      table: "measures",
      time: "time_ns",
      columns: `${PLACE}, name, unit, value, cast(time_ns as varchar) as time_text`,
      where: among("process_id"),
      take: (row, packets) =>
        packets.measure({
          ...placeOf(row),
          name: text(row["name"]),
          unit: text(row["unit"]),
          value: Number(row["value"]),
          timeNs: timeNs(row["time_text"]),
        }),
    },
  ];
}

/** What processes are called on their hosts, by their ids. */
async function processNumbers(
  client: LakeClient,
  range: TimeRange,
  stop: AbortSignal | undefined,
): Promise<Map<string, number>> {
  const sql = `select process_id, pid from processes limit ${PROCESSES_MAX}`;
  const rows = await client.rows(sql, range, stop);
  return new Map(rows.map(({ process_id, pid }) => [text(process_id), Number(pid)]));
}

function placeOf(row: Record<string, unknown>) {
  return {
    processId: text(row["process_id"]),
    app: text(row["app"]),
    service: text(row["service"]),
    host: text(row["host"]),
  };
}
