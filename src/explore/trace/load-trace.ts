// Fetches a trace from a lake, and the list of those that took longest.

import type { LakeClient } from "../lake/lake-client.ts";
import { LakeError } from "../lake/lake-error.ts";
import { integer, text } from "../lake/row-values.ts";
import { around, type TimeRange } from "../lake/time-range.ts";
import { extentOf, type Trace, type TraceLog, type TraceSpan } from "./trace.ts";
import { hasDigits, noSuchTrace, traceIdOf } from "./trace-ids.ts";

/** Nobody reads more. */
const SPANS_MAX = 20_000;
const LOGS_MAX = 20_000;
/**
 * @param digits of {@link traceIdIn}
 * @throws LakeError when there is no such trace in the range, or there are several
 */
export async function loadTrace(
  client: LakeClient,
  digits: string,
  range: TimeRange,
  stop?: AbortSignal,
): Promise<Trace> {
  const rows = await client.rows(
    `select trace_id, span_id, parent_id, cast(begin_ns as varchar) as begin_text,
  cast(end_ns as varchar) as end_text, app, service, host, process_id, stream_id, kind, status, name, target, place,
  properties from spans where ${hasDigits(digits)}
order by spans.begin_ns limit ${SPANS_MAX + 1}`,
    range,
    stop,
  );
  const ids = [...new Set(rows.map(({ trace_id }) => text(trace_id)))];
  const [traceId] = ids;
  if (traceId === undefined) throw noSuchTrace(digits);
  if (ids.length > 1) {
    // Says which there are, and when they began.
    return loadTrace(client, await traceIdOf(client, digits, range, stop), range, stop);
  }
  const spans = rows.slice(0, SPANS_MAX).map(spanOf);
  const { beginNs, endNs } = extentOf({ traceId, spans, logs: [], isCut: false });
  const logs = await client.rows(
    `select cast(time_ns as varchar) as time_text, span_id, service, level, target, message, properties
from log_entries where span_id in (select span_id from spans where trace_id = '${safeId(traceId)}')
order by log_entries.time_ns limit ${LOGS_MAX + 1}`,
    around(beginNs, endNs),
    stop,
  );
  return {
    traceId,
    spans,
    logs: logs.slice(0, LOGS_MAX).map(logOf),
    isCut: rows.length > SPANS_MAX || logs.length > LOGS_MAX,
  };
}

/** A trace in a list. */
export interface TraceSummary {
  readonly traceId: string;
  readonly beginNs: bigint;
  readonly durationMs: number;
  readonly spans: number;
  readonly services: number;
  /** Spans that failed or were lost. */
  readonly troubles: number;
  /** Of its first span. */
  readonly service: string;
  readonly name: string;
}

/** The traces that took longest. @throws LakeError */
export async function slowTraces(
  client: LakeClient,
  range: TimeRange,
  limit: number,
  stop?: AbortSignal,
): Promise<TraceSummary[]> {
  const rows = await client.rows(
    `select trace_id, cast(min(begin_ns) as varchar) as begin_text,
  (max(coalesce(end_ns, begin_ns)) - min(begin_ns)) / 1e6 as ms, count(*) as many,
  count(distinct service) as services, count(*) filter (where status in ('error', 'lost')) as troubles,
  arg_min(service, begin_ns) as first_service, arg_min(name, begin_ns) as first_name
from spans where trace_id <> '' group by trace_id order by ms desc limit ${limit}`,
    range,
    stop,
  );
  return rows.map((row) => ({
    traceId: text(row["trace_id"]),
    beginNs: integer(row["begin_text"]) ?? 0n,
    durationMs: Number(row["ms"]),
    spans: Number(row["many"]),
    services: Number(row["services"]),
    troubles: Number(row["troubles"]),
    service: text(row["first_service"]),
    name: text(row["first_name"]),
  }));
}

function spanOf(row: Record<string, unknown>): TraceSpan {
  const parentId = text(row["parent_id"]);
  return {
    spanId: text(row["span_id"]),
    parentId: /^0*$/.test(parentId) ? "" : parentId,
    app: text(row["app"]),
    service: text(row["service"]),
    host: text(row["host"]),
    processId: text(row["process_id"]),
    streamId: text(row["stream_id"]),
    name: text(row["name"]),
    kind: text(row["kind"]),
    status: text(row["status"]),
    target: text(row["target"]),
    place: text(row["place"]),
    beginNs: integer(row["begin_text"]) ?? 0n,
    endNs: integer(row["end_text"]),
    properties: row["properties"],
  };
}

function logOf(row: Record<string, unknown>): TraceLog {
  return {
    timeNs: integer(row["time_text"]) ?? 0n,
    spanId: text(row["span_id"]),
    service: text(row["service"]),
    level: text(row["level"]),
    target: text(row["target"]),
    message: text(row["message"]),
    properties: row["properties"],
  };
}

/** An id of the answer goes into the next question only as what it should be. */
function safeId(traceId: string): string {
  if (!/^[0-9a-f]{32}$/.test(traceId)) {
    throw new LakeError("what answers is no lake: the id of a trace is none");
  }
  return traceId;
}
