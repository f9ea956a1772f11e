// Which READs bring ranges of a pool, given the regions that its agent has registered.

import type { RdmaRegion } from "../rest/index.ts";
import type { ByteRange } from "./transport.ts";

/** One READ: part of a pool's file, under its region's key. */
interface ReadPiece {
  offset: number;
  bytes: number;
  key: number;
  fence: boolean;
}

/**
 * The fewest READs that bring ranges: cut where a region ends and where a message would be too long.
 * @param regions may overlap; any that holds a place will do
 * @returns undefined when a place is in no region
 */
export function splitRanges(
  ranges: readonly ByteRange[],
  regions: readonly RdmaRegion[],
  maxMessageBytes: number,
): ReadPiece[] | undefined {
  const pieces: ReadPiece[] = [];
  for (const range of ranges) {
    let { fence = false } = range;
    const end = range.offset + range.bytes;
    for (let at = range.offset; at < end; ) {
      let best: RdmaRegion | undefined;
      for (const region of regions) {
        if (at < region.offset || at >= region.offset + region.bytes) continue;
        if (best === undefined || region.offset + region.bytes > best.offset + best.bytes) {
          best = region;
        }
      }
      if (best === undefined) return undefined;
      const bytes = Math.min(end, best.offset + best.bytes, at + maxMessageBytes) - at;
      pieces.push({ offset: at, bytes, key: best.key, fence });
      // The pieces of a range may come in any order among themselves.
      fence = false;
      at += bytes;
    }
  }
  return pieces;
}
