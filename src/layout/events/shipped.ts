// How far a ring was shipped, as it stands in the shipper's page: position, total, and the state of the ring's time
// at that place. Without the last, a later agent would give the same events other times.

import { RING_SHIPPER } from "./constants.ts";
import { Timeline, type TimelineState } from "./timeline.ts";

export interface Shipped {
  /** Words that were ever done with. */
  total: number;
  /** At that place; undefined when it was not stored: at the beginning of a ring, or by somebody who only made room. */
  timeline: TimelineState | undefined;
}

/** What has to be read of the page. */
export const SHIPPED_BYTES = 256;

/** Some bytes of the page that have to be stored. */
export interface ShippedStore {
  /** From the page's beginning. */
  offset: number;
  bytes: Uint8Array;
}

const FIELDS = ["tick", "monotonicNs", "unixMs", "aheadNs"] as const;

/** @param page its first {@link SHIPPED_BYTES}; anything may stand there */
export function readShipped(page: Uint8Array): Shipped {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const given = view.getFloat64(RING_SHIPPER.total, true);
  const position = view.getUint32(RING_SHIPPER.position, true);
  const total = Number.isSafeInteger(given) && given >= 0 ? given : position;
  return { total, timeline: timelineAt(view, total) };
}

/**
 * What to store before the total: the one of both places that does not belong to the total of now. So an agent that dies in
 * between leaves the total with its time.
 * @param page as it is
 */
export function storeOfTimeline(
  total: number,
  timeline: TimelineState,
  page: Uint8Array,
): ShippedStore {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const { timelines } = RING_SHIPPER;
  const isFirst = view.getFloat64(timelines[0], true) === view.getFloat64(RING_SHIPPER.total, true);
  const bytes = new Uint8Array(40);
  const store = new DataView(bytes.buffer);
  store.setFloat64(0, total, true);
  for (const [i, field] of FIELDS.entries()) store.setFloat64(8 + 8 * i, timeline[field], true);
  return { offset: isFirst ? timelines[1] : timelines[0], bytes };
}

function timelineAt(view: DataView, total: number): TimelineState | undefined {
  if (total === 0) return undefined;
  for (const offset of RING_SHIPPER.timelines) {
    if (view.getFloat64(offset, true) !== total) continue;
    const [tick, monotonicNs, unixMs, aheadNs] = FIELDS.map((_, i) =>
      view.getFloat64(offset + 8 + 8 * i, true),
    ) as [number, number, number, number];
    const state = { tick, monotonicNs, unixMs, aheadNs };
    if (Timeline.isState(state)) return state;
  }
  return undefined;
}
