// Segments for tests of the catalogue, as ingestion hands them over.

import type { NewPartition, NewSegment } from "../../src/lake/index.ts";

/** 2026-12-01T00:00:00Z. */
export const DAY_NS = 1_796_083_200_000_000_000n;
export const PROCESS_ID = "0123456789abcdef0123456789abcdef";

type NewBlock = NewSegment["blocks"][number];

/** A block of ten logs and ten spans within a second; the `index`-th of its stream. */
export function newBlock(index: number, other: Partial<NewBlock> = {}): NewBlock {
  const { streamId = "00000000000000aa", firstWord = index * 100 } = other;
  const beginNs = DAY_NS + BigInt(index) * 1_000_000_000n;
  return {
    blockId: `${streamId}-${firstWord.toString(16).padStart(14, "0")}`,
    streamId,
    processId: PROCESS_ID,
    app: "shop",
    blobOffset: 8 + index * 1_000,
    blobBytes: 992,
    firstWord,
    endWord: firstWord + 100,
    beginNs,
    endNs: beginNs + 999_999_999n,
    logs: 10,
    measures: 0,
    metrics: 0,
    spans: 10,
    opens: 0,
    closes: 0,
    isFinal: false,
    ...other,
  };
}

export function newSegment(segmentId: string, blocks: readonly NewBlock[]): NewSegment {
  return {
    segmentId,
    blob: `2026-12-01/${segmentId}`,
    bytes: 10_000,
    processes: [
      {
        processId: PROCESS_ID,
        app: "shop",
        service: "auth",
        pid: 42,
        host: "node-1",
        user: "www",
        exe: "/usr/bin/bun",
        runtime: "bun 1.4.5",
        startNs: DAY_NS,
        properties: { region: "eu" },
      },
    ],
    streams: [...new Set(blocks.map(({ streamId }) => streamId))].map((streamId) => ({
      streamId,
      processId: PROCESS_ID,
      app: "shop",
      threadId: 0,
      startNs: DAY_NS,
    })),
    blocks,
  };
}

export function newPartition(
  partitionId: string,
  viewName: string,
  minNs: bigint,
  other: Partial<NewPartition> = {},
): NewPartition {
  return {
    partitionId,
    viewName,
    file: `views/${viewName}/data/day=2026-12-01/${partitionId}.parquet`,
    day: "2026-12-01",
    minNs,
    maxNs: minNs + 999_999_999n,
    rows: 10,
    bytes: 1_000,
    columns: "v1",
    bounds: { 2: { min: String(minNs), max: String(minNs + 999_999_999n), nulls: 0 } },
    ...other,
  };
}
