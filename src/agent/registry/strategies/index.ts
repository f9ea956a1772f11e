// How pages are handed to writers. A strategy answers one question: what does a writer get when it needs room?

import { packed } from "./packed.ts";
import { page } from "./page.ts";
import { slab } from "./slab.ts";
import type { AllocationStrategy, StrategyName } from "./strategy.ts";

export type { AllocationStrategy, StrategyName } from "./strategy.ts";

/** The strategies by name, as `--strategy` takes them. */
export const STRATEGIES: Readonly<Record<StrategyName, AllocationStrategy>> = {
  page,
  packed,
  slab,
};
