// What the shipper asks of the maker of blocks.

import type { BlockHeader, BlockProcess, TimelineState } from "../../layout/index.ts";
import type { OpenRing } from "../rings.ts";

/** A part of a ring that becomes a block. */
export interface RingPart {
  ring: OpenRing;
  /** Words from the ring's start: the first, and the one behind the last. Records begin at both. */
  first: number;
  end: number;
  /** Nothing follows: the writer has ended. */
  isFinal: boolean;
  process: BlockProcess;
  /** The ring's time at the first; undefined where it is not known. */
  timeline: TimelineState | undefined;
}

/** Makes a block; of a part that is too long for one, of its beginning. */
export type MakeBlock = (part: RingPart) => { block: Uint8Array; header: BlockHeader };
