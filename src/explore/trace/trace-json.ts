// A trace as one document of JSON, for programs: spans in the order of their beginnings, each with its logs.

import { safeJson } from "../../text/index.ts";
import { extentOf, type Trace } from "./trace.ts";

/** Times are decimal text, which keeps nanoseconds. */
export function traceJson(trace: Trace): string {
  const { beginNs, endNs } = extentOf(trace);
  const logsOf = Map.groupBy(trace.logs, ({ spanId }) => spanId);
  const document = {
    traceId: trace.traceId,
    beginNs: String(beginNs),
    durationMs: Number(endNs - beginNs) / 1e6,
    isCut: trace.isCut,
    spans: trace.spans.map(({ beginNs, endNs, parentId, ...span }) => ({
      ...span,
      parentId: parentId === "" ? null : parentId,
      beginNs: String(beginNs),
      endNs: endNs === undefined ? null : String(endNs),
      durationMs: endNs === undefined ? null : Number(endNs - beginNs) / 1e6,
      logs: (logsOf.get(span.spanId) ?? []).map(({ timeNs, spanId: _, ...log }) => ({
        timeNs: String(timeNs),
        ...log,
      })),
    })),
  };
  return `${safeJson(document, 2)}\n`;
}
