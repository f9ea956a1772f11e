// OTLP's spans as rows (opentelemetry-proto, trace/v1). Events, links and the status's message are properties.

import { OTEL_COUNT_MAX, OTEL_PROPERTY } from "../../layout/index.ts";
import { pairsIn, Room, type Value } from "./attributes.ts";
import type { SpanRow } from "./columns.ts";
import { idIn, longIn, type Message, messageIn, messagesIn, numberIn, textIn } from "./messages.ts";

const ERROR = 2;
/** SPAN_KIND_INTERNAL is 1, and what is unspecified is taken as internal; SPAN_KINDS begins with it. */
const KINDS = 5;

/**
 * @returns why it cannot be a row, where it cannot
 * @throws OtlpError
 */
export function spanRow(span: Message, target: string): SpanRow | string {
  const traceId = idIn(span, "traceId");
  const spanId = idIn(span, "spanId");
  if (!/^(?!0+$)[0-9a-f]{32}$/.test(traceId)) return "a span's trace_id is not 16 bytes, or zero";
  if (!/^(?!0+$)[0-9a-f]{16}$/.test(spanId)) return "a span's span_id is not 8 bytes, or zero";
  const parentId = idIn(span, "parentSpanId");
  const room = new Room();
  const attributes = pairsIn(span, "attributes", room);
  const status = messageIn(span, "status");
  const kind = numberIn(span, "kind") - 1;
  const beginNs = longIn(span, "startTimeUnixNano");
  let endNs = longIn(span, "endTimeUnixNano");
  // A clock that was set back, or a span without an end.
  if (endNs < beginNs) endNs = beginNs;
  return {
    beginNs,
    endNs,
    spanId: BigInt(`0x${spanId}`),
    parentId: /^[0-9a-f]{16}$/.test(parentId) ? BigInt(`0x${parentId}`) : 0n,
    traceHigh: BigInt(`0x${traceId.slice(0, 16)}`),
    traceLow: BigInt(`0x${traceId.slice(16)}`),
    kind: Number.isInteger(kind) && kind > 0 && kind < KINDS ? kind : 0,
    status: numberIn(status, "code") === ERROR ? 1 : 0,
    name: textIn(span, "name").slice(0, 1_000).toWellFormed(),
    target,
    place: placeOf(attributes),
    properties: propertiesOf(span, attributes, status, room),
  };
}

function propertiesOf(
  span: Message,
  attributes: Record<string, Value>,
  status: Message,
  room: Room,
): string {
  const message = textIn(status, "message");
  const state = textIn(span, "traceState");
  const events = messagesIn(span, "events").map((event) => ({
    time_ns: longIn(event, "timeUnixNano").toString(),
    name: textIn(event, "name").slice(0, 1_000).toWellFormed(),
    ...withAttributes(event, room),
  }));
  const links = messagesIn(span, "links").map((link) => ({
    ...{ trace_id: idIn(link, "traceId"), span_id: idIn(link, "spanId") },
    ...withAttributes(link, room),
  }));
  const dropped = numberIn(span, "droppedAttributesCount") + room.dropped;
  const all = {
    ...attributes,
    ...(message === ""
      ? {}
      : { [OTEL_PROPERTY.statusMessage]: message.slice(0, 10_000).toWellFormed() }),
    ...(state === "" ? {} : { [OTEL_PROPERTY.traceState]: state.slice(0, 1_000).toWellFormed() }),
    ...(events.length === 0 ? {} : { [OTEL_PROPERTY.events]: events.slice(0, OTEL_COUNT_MAX) }),
    ...(links.length === 0 ? {} : { [OTEL_PROPERTY.links]: links.slice(0, OTEL_COUNT_MAX) }),
    ...(dropped > 0 ? { [OTEL_PROPERTY.droppedAttributes]: dropped } : {}),
    ...beyond(OTEL_PROPERTY.droppedEvents, events.length, numberIn(span, "droppedEventsCount")),
    ...beyond(OTEL_PROPERTY.droppedLinks, links.length, numberIn(span, "droppedLinksCount")),
  };
  return Object.keys(all).length === 0 ? "" : JSON.stringify(all);
}

function beyond(key: string, count: number, droppedBefore: number): Record<string, number> {
  const dropped = droppedBefore + Math.max(0, count - OTEL_COUNT_MAX);
  return dropped > 0 ? { [key]: dropped } : {};
}

function withAttributes(message: Message, room: Room): { attributes?: Record<string, Value> } {
  const attributes = pairsIn(message, "attributes", room);
  return Object.keys(attributes).length === 0 ? {} : { attributes };
}

/** Where the code is, by the semantic conventions of now and before. */
function placeOf(attributes: Record<string, Value>): string {
  const file = attributes["code.file.path"] ?? attributes["code.filepath"];
  if (typeof file !== "string" || file.length > 1_000) return "";
  const line = attributes["code.line.number"] ?? attributes["code.lineno"];
  return typeof line === "number" ? `${file}:${line}` : file;
}
