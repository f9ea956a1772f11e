// Writers of one service share pages, each with cache lines of its own: for many replicas with few series.

import { SLOTS_PER_PAGE } from "../../../layout/index.ts";
import { GRANULE_SLOTS } from "./page-space.ts";
import type { AllocationStrategy } from "./strategy.ts";

/** A writer's first share, in slots: room for a few series before it has to ask again. */
const SHARE_SLOTS = 32;

export const packed: AllocationStrategy = {
  name: "packed",
  place(space, applicant, slots) {
    // Shares double, so that a writer of many series is not scattered over many pages.
    const held = applicant.grants.reduce((sum, grant) => sum + (grant.slots || SLOTS_PER_PAGE), 0);
    const wanted = Math.max(SHARE_SLOTS, Math.min(slots, SLOTS_PER_PAGE), held);
    const share = Math.ceil(Math.min(wanted, SLOTS_PER_PAGE) / GRANULE_SLOTS) * GRANULE_SLOTS;
    const place = space.findShared(applicant.service, share);
    if (place !== undefined) return { ...place, pages: 1, slots: share, fresh: false };
    return { page: space.findFree(1), pages: 1, slot: 0, slots: share, fresh: true };
  },
};
