// Blocks for tests of views, out of rows of which only what matters is said.

import {
  type BlockOrigin,
  blankCloses,
  blankLogs,
  blankMeasures,
  blankSpans,
  decodeBlockHeader,
  encodeBlock,
} from "../../../src/layout/index.ts";
import { ORIGIN, tableOf, zstd } from "../../support/blocks.ts";

export const T0 = 1_796_083_200_000_000_000n;

const LOG = {
  ...{ timeNs: T0, level: 3, target: "http", message: "hello", spanId: 0n, properties: "" },
};
const MEASURE = {
  ...{ timeNs: T0, name: "latency", unit: "ms", target: "http", value: 1.5, properties: "" },
};
const SPAN = {
  ...{ beginNs: T0, endNs: T0 + 1_000_000n, spanId: 1n, parentId: 0n, traceHigh: 0n, traceLow: 7n },
  ...{ depth: 0, kind: 0, isAsync: 0, status: 0, name: "GET /", target: "http" },
  ...{ place: "a.ts:1", properties: "" },
};
const CLOSE = { ...{ spanId: 1n, endNs: T0 + 1_000_000n, status: 0, properties: "" } };

export interface Rows {
  logs?: readonly Partial<typeof LOG>[];
  measures?: readonly Partial<typeof MEASURE>[];
  spans?: readonly Partial<typeof SPAN>[];
  opens?: readonly Partial<typeof SPAN>[];
  closes?: readonly Partial<typeof CLOSE>[];
}

export interface MadeBlock {
  blockId: string;
  bytes: Uint8Array;
}

export function makeBlock(rows: Rows, origin: Partial<BlockOrigin> = {}): MadeBlock {
  const { logs = [], measures = [], spans = [], opens = [], closes = [] } = rows;
  const fill = <T>(row: T, given: readonly Partial<T>[]) =>
    given.map((each) => ({ ...row, ...each })) as Record<string, unknown>[];
  const columns = {
    logs: tableOf(blankLogs(logs.length), fill(LOG, logs)),
    measures: tableOf(blankMeasures(measures.length), fill(MEASURE, measures)),
    spans: tableOf(blankSpans(spans.length), fill(SPAN, spans)),
    opens: tableOf(blankSpans(opens.length), fill({ ...SPAN, endNs: 0n }, opens)),
    closes: tableOf(blankCloses(closes.length), fill(CLOSE, closes)),
  };
  const bytes = encodeBlock({ ...ORIGIN, ...origin }, columns, zstd);
  return { blockId: decodeBlockHeader(bytes).blockId, bytes };
}
