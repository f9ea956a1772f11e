// Blocks of events for tests: zstd as Bun has it, and tables of columns as rows, which compare.

import { zstdDecompressSync } from "node:zlib";
import {
  type BlockColumns,
  type BlockOrigin,
  blankCloses,
  blankLogs,
  blankMeasures,
  blankSpans,
  decodeBlock,
  type TextColumn,
} from "../../src/layout/index.ts";

export const zstd = (bytes: Uint8Array): Uint8Array => Bun.zstdCompressSync(bytes, { level: 1 });

export const unzstd = (bytes: Uint8Array, maxBytes: number): Uint8Array =>
  zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, maxBytes) });

export const ORIGIN: BlockOrigin = {
  first: 16,
  end: 4096,
  isFinal: false,
  stream: { streamId: "0123456789abcdef", threadId: 0, startNs: "1700000000000000000" },
  process: {
    processId: "00112233445566778899aabbccddeeff",
    app: "shop",
    service: "auth",
    pid: 7,
    startNs: "1700000000000000000",
    host: "here",
    user: "me",
    exe: "/usr/bin/shop",
    runtime: "bun 1.4.5",
  },
};

export function noColumns(): BlockColumns {
  return {
    logs: blankLogs(),
    measures: blankMeasures(),
    spans: blankSpans(),
    opens: blankSpans(),
    closes: blankCloses(),
  };
}

type Row = Record<string, unknown>;

/** A table's rows, with texts as texts. */
export function rowsOf(table: object & { rows: number }): Row[] {
  return Array.from({ length: table.rows }, (_, i) => {
    const row: Row = {};
    for (const [name, column] of Object.entries(table as Record<string, unknown>)) {
      if (name === "rows") continue;
      const { texts, index } = column as Partial<TextColumn>;
      row[name] =
        texts === undefined || index === undefined
          ? (column as ArrayLike<unknown>)[i]
          : texts[index[i]!];
    }
    return row;
  });
}

/** All tables of a block as rows. */
export function allRowsOf({ logs, measures, spans, opens, closes }: BlockColumns) {
  return {
    logs: rowsOf(logs),
    measures: rowsOf(measures),
    spans: rowsOf(spans),
    opens: rowsOf(opens),
    closes: rowsOf(closes),
  };
}

/** A table out of rows; its columns are those of a blank one. */
export function tableOf<T extends object & { rows: number }>(blank: T, rows: readonly Row[]): T {
  for (const [name, column] of Object.entries(blank as Record<string, unknown>)) {
    if (name === "rows") continue;
    const { index, texts } = column as { index?: Uint32Array; texts?: string[] };
    for (const [i, row] of rows.entries()) {
      if (index === undefined) (column as unknown[])[i] = row[name];
      else index[i] = texts!.push(row[name] as string) - 1;
    }
  }
  return blank;
}

/** One of each, and a child. */
export function someColumns(): BlockColumns {
  const one = {
    beginNs: 1_700_000_000_000_000_000n,
    endNs: 1_700_000_000_000_000_500n,
    ...{ spanId: 7n, traceHigh: 1n, traceLow: 2n, name: "query", properties: "" },
    ...{ parentId: 0n, depth: 0, kind: 1, isAsync: 0, status: 0, target: "db", place: "a.ts:1" },
  };
  const child = { ...one, spanId: 8n, parentId: 7n, depth: 1, isAsync: 1, status: 1 };
  const timeNs = 1_700_000_000_000_000_100n;
  return {
    logs: tableOf(blankLogs(1), [
      { timeNs, level: 2, target: "t", message: "signed in", spanId: 7n, properties: '{"a":1}' },
    ]),
    measures: tableOf(blankMeasures(1), [
      { timeNs, name: "latency", unit: "ms", target: "", value: 0.25, properties: "" },
    ]),
    spans: tableOf(blankSpans(2), [one, child]),
    opens: tableOf(blankSpans(1), [{ ...child, spanId: 9n, endNs: 0n, status: 0 }]),
    closes: tableOf(blankCloses(1), [{ spanId: 3n, endNs: timeNs, status: 1, properties: "" }]),
  };
}

/** All that is read from a block, as JSON has it; 64 bits as text. */
export function rowsAsJson(block: Uint8Array): unknown {
  const decoded = decodeBlock(block, unzstd);
  const all = { header: decoded.header, ...allRowsOf(decoded) };
  return JSON.parse(
    JSON.stringify(all, (_, each) => (typeof each === "bigint" ? `${each}` : each)),
  );
}

/** The text of a row. */
export function textAt({ index, texts }: TextColumn, row: number): string {
  return texts[index[row]!]!;
}
