// What a strategy of handing out pages is: all of them are, and the registry asks one.

import type { GrantRecord } from "../../../layout/index.ts";
import type { PageSpace } from "./page-space.ts";

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
