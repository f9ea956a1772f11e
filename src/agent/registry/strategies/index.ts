// How pages are handed to writers. A strategy answers one question: what does a writer get when it needs room?

import type { GrantRecord } from "../../../layout/index.ts";
import { packed } from "./packed.ts";
import { page } from "./page.ts";
import type { PageSpace } from "./page-space.ts";
import { slab } from "./slab.ts";

/** What to grant: `pages` pages from `page` on, or, when `slots` is not 0, those slots of one page. */
interface Placement {
  page: number;
  pages: number;
  slot: number;
  slots: number;
  /** Whether the page is new to the pool's users and has to be cleared; false where it is shared already. */
  fresh: boolean;
}

/** Who needs room, and what it has. */
interface Applicant {
  service: number;
  grants: readonly GrantRecord[];
}

export interface AllocationStrategy {
  readonly name: StrategyName;
  /**
   * @param space the pool's pages
   * @param slots how many slots are needed now, at least
   * @throws LimitError when the pool is full
   */
  place(space: PageSpace, applicant: Applicant, slots: number): Placement;
}

export type StrategyName = "page" | "packed" | "slab";

/** The strategies by name, as `--strategy` takes them. */
export const STRATEGIES: Readonly<Record<StrategyName, AllocationStrategy>> = {
  page,
  packed,
  slab,
};
