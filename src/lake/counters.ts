// What a lake has done since it was started, for /metrics and /v1/status.

import type { AddedSegment, NewSegment } from "./catalogue/index.ts";

const ROWS = ["logs", "measures", "metrics", "spans"] as const;

export class LakeCounters {
  segments = 0;
  segmentBytes = 0;
  /** Segments that were sent again. */
  segmentsKnown = 0;
  blocks = 0;
  /** Blocks that another segment had brought before. */
  blocksKnown = 0;
  /** Of those, the ones that ended elsewhere. */
  blockConflicts = 0;
  readonly rows: Record<(typeof ROWS)[number], number> = {
    ...{ logs: 0, measures: 0, metrics: 0, spans: 0 },
  };
  /** Segments and requests that were refused, by code. */
  readonly refusals = new Map<string, number>();
  /** Records of OTLP that no table can hold, by signal. */
  readonly rejected = new Map<string, number>();

  stored({ bytes, blocks }: NewSegment, { known, conflicts }: AddedSegment): void {
    this.segments++;
    this.segmentBytes += bytes;
    this.blocks += blocks.length - known;
    this.blocksKnown += known;
    this.blockConflicts += conflicts.length;
    for (const block of blocks) {
      for (const table of ROWS) this.rows[table] += block[table];
      // A span is counted where it begins.
      this.rows.spans += block.opens;
    }
  }

  refused(code: string): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }

  reject(signal: string, count: number): void {
    if (count > 0) this.rejected.set(signal, (this.rejected.get(signal) ?? 0) + count);
  }
}
