// OTLP's log records as rows (opentelemetry-proto, logs/v1).

import { LEVELS, levelOfSeverity, OTEL_PROPERTY } from "../../layout/index.ts";
import { anyValue, pairsIn, Room, textOf } from "./attributes.ts";
import type { LogRow } from "./columns.ts";
import { idIn, longIn, type Message, numberIn, textIn } from "./messages.ts";

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
  const level = levelOfSeverity(numberIn(record, "severityNumber"), severityText);
  const dropped = numberIn(record, "droppedAttributesCount") + room.dropped;
  const all = {
    ...properties,
    // The column has eight bytes of a span alone.
    ...(/^0*$/.test(traceId) ? {} : { trace_id: traceId }),
    ...(eventName === "" ? {} : { [OTEL_PROPERTY.eventName]: eventName.toWellFormed() }),
    ...(severityText === "" || severityText.toLowerCase() === LEVELS[level]
      ? {}
      : { [OTEL_PROPERTY.severityText]: severityText }),
    ...(dropped > 0 ? { [OTEL_PROPERTY.droppedAttributes]: dropped } : {}),
  };
  const timeNs = longIn(record, "timeUnixNano") || longIn(record, "observedTimeUnixNano");
  return {
    timeNs: timeNs || nowNs,
    level,
    target,
    message,
    spanId: /^[0-9a-f]{16}$/.test(spanId) ? BigInt(`0x${spanId}`) : 0n,
    properties: Object.keys(all).length === 0 ? "" : JSON.stringify(all),
  };
}
