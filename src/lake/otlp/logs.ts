// OTLP's log records as rows (opentelemetry-proto, logs/v1). Levels go by the ranges of the data model.

import { LEVELS, type Level } from "../../layout/index.ts";
import { anyValue, pairsIn, Room, textOf } from "./attributes.ts";
import type { LogRow } from "./columns.ts";
import { idIn, longIn, type Message, numberIn, textIn } from "./messages.ts";

/** By severity number divided by four: 1–4 is trace, 21–24 fatal. */
const BY_SEVERITY: readonly Level[] = ["trace", "debug", "info", "warn", "error", "fatal"];
const SEVERITY_MAX = 24;

/**
 * @param nowNs for a record that has no time
 * @throws OtlpError
 */
export function logRow(record: Message, target: string, nowNs: bigint): LogRow {
  const room = new Room();
  const message = textOf(anyValue(record["body"], room));
  const properties = pairsIn(record, "attributes", room);
  const traceId = idIn(record, "traceId");
  const spanId = idIn(record, "spanId");
  const eventName = textIn(record, "eventName");
  const severityText = textIn(record, "severityText").slice(0, 100).toWellFormed();
  const level = levelOf(numberIn(record, "severityNumber"), severityText);
  const dropped = numberIn(record, "droppedAttributesCount") + room.dropped;
  const all = {
    ...properties,
    // The column has eight bytes of a span alone.
    ...(/^0*$/.test(traceId) ? {} : { trace_id: traceId }),
    ...(eventName === "" ? {} : { "otel.event_name": eventName.toWellFormed() }),
    ...(severityText === "" || severityText.toLowerCase() === level
      ? {}
      : { "otel.severity_text": severityText }),
    ...(dropped > 0 ? { "otel.dropped_attributes": dropped } : {}),
  };
  const timeNs = longIn(record, "timeUnixNano") || longIn(record, "observedTimeUnixNano");
  return {
    timeNs: timeNs || nowNs,
    level: LEVELS.indexOf(level),
    target,
    message,
    spanId: /^[0-9a-f]{16}$/.test(spanId) ? BigInt(`0x${spanId}`) : 0n,
    properties: Object.keys(all).length === 0 ? "" : JSON.stringify(all),
  };
}

function levelOf(severity: number, text: string): Level {
  if (severity >= 1 && severity <= SEVERITY_MAX)
    return BY_SEVERITY[Math.floor((severity - 1) / 4)]!;
  const word = text.toLowerCase();
  if (word === "warning") return "warn";
  return LEVELS.find((level) => level === word) ?? "info";
}
