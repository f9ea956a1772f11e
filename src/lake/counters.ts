// What a lake has done since it was started, for /metrics and /v1/status.

import type { AddedSegment, NewSegment } from "./catalogue/index.ts";

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
  }

  refused(code: string): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }

  reject(signal: string, count: number): void {
    if (count > 0) this.rejected.set(signal, (this.rejected.get(signal) ?? 0) + count);
  }
}
