// What OpenTelemetry's logs and spans say that an event has no place of its own for: the names of the properties that it
// is kept under, and the level of a severity. Used by src/opentelemetry, which records such logs and spans, and by
// src/lake/otlp, which receives them, so that a query finds both by the same names.

import { LEVELS, type Level } from "./constants.ts";

export const OTEL_PROPERTY = {
  eventName: "otel.event_name",
  severityText: "otel.severity_text",
  /** When it happened, where that is not about when it was recorded. */
  timeNs: "otel.time_ns",
  startTimeNs: "otel.start_time_ns",
  endTimeNs: "otel.end_time_ns",
  statusMessage: "otel.status_message",
  traceState: "otel.trace_state",
  events: "otel.events",
  links: "otel.links",
  droppedAttributes: "otel.dropped_attributes",
  droppedEvents: "otel.dropped_events",
  droppedLinks: "otel.dropped_links",
} as const;

/**
 * Attributes, events and links of a span, unless the program says otherwise.
 * https://opentelemetry.io/docs/specs/otel/trace/sdk/#span-limits
 */
export const OTEL_COUNT_MAX = 128;

/**
 * Four severity numbers for each: 1–4 is trace, 21–24 fatal.
 * https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
 */
const BY_SEVERITY = (["trace", "debug", "info", "warn", "error", "fatal"] satisfies Level[]).map(
  (level) => LEVELS.indexOf(level),
);
const SEVERITY_MAX = 4 * BY_SEVERITY.length;
const INFO = LEVELS.indexOf("info");

/**
 * The index in {@link LEVELS} of a severity number or, where there is none, of a severity text.
 * @returns that of info, where neither says a level
 */
export function levelOfSeverity(severity: number | undefined, text: unknown): number {
  if (severity !== undefined && severity >= 1 && severity <= SEVERITY_MAX) {
    return BY_SEVERITY[Math.floor((severity - 1) / 4)]!;
  }
  const word = typeof text === "string" ? text.toLowerCase() : "";
  const index = (LEVELS as readonly string[]).indexOf(word === "warning" ? "warn" : word);
  return index < 0 ? INFO : index;
}
