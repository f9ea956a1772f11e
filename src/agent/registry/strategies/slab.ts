// Runs of pages that double: a writer with many series lies in few contiguous pieces, which readers fetch in few reads.

import { SLOTS_PER_PAGE } from "../../../layout/index.ts";
import type { AllocationStrategy } from "./strategy.ts";

/** Longest run handed out at once, so that the last one wastes no more than 256 KiB. */
const MAX_RUN_PAGES = 64;

export const slab: AllocationStrategy = {
  name: "slab",
  place(space, applicant, slots) {
    const held = applicant.grants.reduce((sum, grant) => sum + grant.pages, 0);
    const wanted = Math.max(1, held, Math.ceil(slots / SLOTS_PER_PAGE));
    const pages = Math.min(wanted, MAX_RUN_PAGES, space.limit - space.used || 1);
    // A fragmented pool still has single pages.
    for (let run = pages; run > 1; run = Math.floor(run / 2)) {
      try {
        return { page: space.findFree(run), pages: run, slot: 0, slots: 0, fresh: true };
      } catch {}
    }
    return { page: space.findFree(1), pages: 1, slot: 0, slots: 0, fresh: true };
  },
};
