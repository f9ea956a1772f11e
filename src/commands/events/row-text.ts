// A row of events as a line: for people, or as JSON. What services have recorded may be anything.

import type { EventRow } from "../../events/index.ts";
import {
  formatQuantity,
  formatSeconds,
  printable,
  type Style,
  safeJson,
} from "../../text/index.ts";

type Log = Extract<EventRow, { kind: "log" }>;

/** With its time as people write it, and without what is not there. */
export function rowJson(row: EventRow): string {
  const { timeMs, ...fields } = row;
  const present = Object.entries(fields).filter(([name, value]) => {
    const isNothing = (name === "truncated" && value === false) || value === "";
    return value !== undefined && !(isNothing && OPTIONAL.includes(name));
  });
  return `${safeJson({ time: timeOf(timeMs), ...Object.fromEntries(present) })}\n`;
}

const OPTIONAL = ["truncated", "target", "place"];

/** What --grep looks through. */
export function searchText(row: EventRow): string {
  switch (row.kind) {
    case "log":
      return `${row.message} ${JSON.stringify(row.properties)}`;
    case "measure":
      return `${row.name} ${JSON.stringify(row.properties)}`;
    case "span":
      return `${row.name} ${row.spanId} ${row.traceId} ${JSON.stringify(row.properties)}`;
    case "refused":
      return row.kind;
  }
  return row.message;
}

export function rowText(row: EventRow, style: Style): string {
  const time = style.dim(timeOf(row.timeMs).slice(11, 23));
  const who = style.blue(printable(`${row.app}/${row.service}`));
  return `${time} ${wordOf(row, style)} ${who} ${contentsOf(row, style)}\n`;
}

function timeOf(ms: number): string {
  // To the microsecond, which dates do not have.
  const micros = Math.floor((ms - Math.floor(ms)) * 1000);
  const date = new Date(ms).toISOString();
  return date.replace("Z", `${String(micros).padStart(3, "0")}Z`);
}

function wordOf(row: EventRow, style: Style): string {
  if (row.kind !== "log") {
    const isBad = row.kind !== "measure" && row.kind !== "span";
    return (isBad ? style.yellow : style.dim)(row.kind.toUpperCase().padEnd(7));
  }
  const word = row.level.toUpperCase().padEnd(7);
  if (row.level === "fatal" || row.level === "error") return style.red(word);
  if (row.level === "warn") return style.yellow(word);
  return row.level === "info" ? style.green(word) : style.dim(word);
}

function contentsOf(row: EventRow, style: Style): string {
  switch (row.kind) {
    case "log":
      return logText(row, style);
    case "measure":
      return `${printable(row.name)} ${style.bold(formatQuantity(row.value, row.unit))}${pairs(row.properties, style)}`;
    case "span": {
      const took = row.durationMs === undefined ? "" : ` ${formatSeconds(row.durationMs / 1000)}`;
      const status = row.status === "ok" ? "" : ` ${style.red(row.status)}`;
      return `${"  ".repeat(Math.min(row.depth, 20))}${printable(row.name)}${style.bold(took)}${status}${pairs(row.properties, style)}`;
    }
    case "refused":
      return `the ring is too full: ${row.spans} spans, ${row.measures} measures, ${row.logs} logs below warn, ${row.severe} others were refused; ${row.failed} could not be recorded`;
  }
  return printable(row.message);
}

function logText({ message, properties, truncated }: Log, style: Style): string {
  const { error, ...others } = properties as Record<string, unknown>;
  const cut = truncated ? style.dim(" (cut)") : "";
  return `${printable(message)}${pairs(others, style)}${cut}${errorText(error, style)}`;
}

function pairs(properties: Readonly<Record<string, unknown>>, style: Style): string {
  return Object.entries(properties)
    .map(([key, value]) => {
      const text = typeof value === "string" ? printable(value) : safeJson(value);
      return ` ${style.cyan(printable(key))}=${text}`;
    })
    .join("");
}

/** An error's stack, a line each, and those of its causes. */
function errorText(error: unknown, style: Style): string {
  if (error === undefined) return "";
  if (typeof error !== "object" || error === null) return pairs({ error }, style);
  const { stack, cause, ...others } = error as Record<string, unknown>;
  if (typeof stack !== "string") return pairs({ error }, style);
  const lines = stack.split("\n").map((line) => `\n    ${style.dim(printable(line))}`);
  const { name: _name, message: _message, ...more } = others;
  const because = cause === undefined ? "" : `\n  caused by${errorText(cause, style)}`;
  return lines.join("") + pairs(more, style) + because;
}
