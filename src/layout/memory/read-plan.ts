// Which slots a reader fetches, and where they come to lie. Used by the collector for its transports, and by the agent and
// inspect on mapped memory.

import { PAGE_HEADER_SLOTS, SLOT_BYTES, SLOTS_PER_PAGE_STRIDE } from "../constants.ts";

/** Slots in a row, counted from the start of the first page: page p begins at p · 512, its slot 0 at p · 512 + 8. */
interface SlotRange {
  first: number;
  count: number;
}

/** What to fetch for a snapshot, and where each page comes to lie. */
export interface ReadPlan {
  /** Ascending, not overlapping: what is bound, and small gaps between. */
  ranges: SlotRange[];
  /** Slots of all ranges together, which is what a snapshot holds. */
  slotCount: number;
  /**
   * Where a page begins among the snapshot's slots, by page index, or {@link NOT_READ}. Its slot s is at
   * `base + 8 + s`; the page's own beginning need not have been fetched, so a base may be negative.
   */
  base: Int32Array;
}

/** Who has slots that are read: a directory's writers, or a structure's. */
interface SlotHolder {
  readonly runs: Iterable<{
    readonly page: number;
    readonly slot: number;
    readonly count: number;
    readonly metric: { readonly slots: number };
  }>;
}

/** The base of a page that a plan does not fetch. */
export const NOT_READ = -0x8000_0000;

/**
 * A gap between bound slots that is read along rather than cut out. Another range costs its request and its handling;
 * reading 32 slots for nothing adds at most a sixteenth to a page.
 */
export const MERGE_GAP_SLOTS = 32;

/**
 * Plans the reads that bring every slot some writer is bound to.
 * @param mergeGapSlots gaps up to this are read along: fewer, longer reads
 */
export function planRead(
  writers: readonly SlotHolder[],
  mergeGapSlots = MERGE_GAP_SLOTS,
): ReadPlan {
  let highest = -1;
  for (const { runs } of writers) for (const { page } of runs) highest = Math.max(highest, page);
  // First bound slot of each page, and the end of the last; none while the end is 0.
  const first = new Uint16Array(highest + 1);
  const end = new Uint16Array(highest + 1);
  for (const { runs } of writers) {
    for (const { page, slot, count, metric } of runs) {
      if (end[page] === 0 || slot < first[page]!) first[page] = slot;
      end[page] = Math.max(end[page]!, slot + count * metric.slots);
    }
  }
  const base = new Int32Array(highest + 1).fill(NOT_READ);
  const ranges: SlotRange[] = [];
  let slotCount = 0;
  for (let page = 0; page <= highest; page++) {
    if (end[page] === 0) continue;
    const start = page * SLOTS_PER_PAGE_STRIDE;
    const from = start + PAGE_HEADER_SLOTS + first[page]!;
    const to = start + PAGE_HEADER_SLOTS + end[page]!;
    const last = ranges.at(-1);
    const gap = last === undefined ? Number.POSITIVE_INFINITY : from - (last.first + last.count);
    if (last !== undefined && gap <= mergeGapSlots) {
      slotCount += gap;
      last.count = to - last.first;
    } else {
      ranges.push({ first: from, count: to - from });
    }
    base[page] = slotCount - (from - start);
    slotCount += to - from;
  }
  return { ranges, slotCount, base };
}

/** A plan for memory that is mapped whole: every page is where it is, and nothing has to be fetched. */
export function mappedPlan(writers: readonly SlotHolder[]): ReadPlan {
  const plan = planRead(writers);
  for (let page = 0; page < plan.base.length; page++) {
    if (plan.base[page] !== NOT_READ) plan.base[page] = page * SLOTS_PER_PAGE_STRIDE;
  }
  return plan;
}

/** Bytes of the buffer that a plan's slots fill. */
export function planBytes(plan: ReadPlan): number {
  return plan.slotCount * SLOT_BYTES;
}

/** Index of a slot among a snapshot's, or −1 when the plan does not fetch its page. */
export function snapshotIndex(plan: ReadPlan, page: number, slot: number): number {
  const base = plan.base[page] ?? NOT_READ;
  return base === NOT_READ ? -1 : base + PAGE_HEADER_SLOTS + slot;
}
