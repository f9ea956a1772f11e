// The slowest traces as a table to pick from.

import { formatSeconds, type Style } from "../../text/index.ts";
import { TableText } from "../output/table.ts";
import { isoTime } from "./iso-time.ts";
import type { TraceSummary } from "./load-trace.ts";
import { SHORT_DIGITS } from "./trace-ids.ts";

export function traceListText(
  traces: readonly TraceSummary[],
  style: Style,
  columns: number | undefined,
): string {
  const header = (
    ["#", "began", "took", "spans", "services", "troubles", "first", "trace"] as const
  ).map((name) => ({
    name,
    type: ["#", "spans", "services", "troubles"].includes(name) ? "BIGINT" : "",
  }));
  const table = new TableText(header, { style, columns });
  const rows = traces.map((trace, i) => [
    i + 1,
    isoTime(trace.beginNs).slice(11, 23),
    formatSeconds(trace.durationMs / 1000),
    trace.spans,
    trace.services,
    trace.troubles,
    `${trace.service} ${trace.name}`,
    // For people as much as is enough to give again, the end, which is random.
    columns === undefined ? trace.traceId : trace.traceId.slice(-SHORT_DIGITS),
  ]);
  return table.rows(rows) + table.end();
}
