// One page at a time for each writer: no two writers share a page, and small services take 4 KiB each.

import type { AllocationStrategy } from "./strategy.ts";

export const page: AllocationStrategy = {
  name: "page",
  place: (space) => ({ page: space.findFree(1), pages: 1, slot: 0, slots: 0, fresh: true }),
};
