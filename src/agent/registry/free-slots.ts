// The free slots of one writer: what it was granted and has not used yet.

import { type GrantRecord, type Run, SLOTS_PER_PAGE, type Writer } from "../../layout/index.ts";

/** Where series may go. */
export interface Place {
  page: number;
  slot: number;
}

interface Gap {
  page: number;
  next: number;
  end: number;
}

/** Ends of pages too small for the series at hand that are kept for smaller ones; more would slow every search. */
const MAX_REMNANTS = 16;

export class FreeSlots {
  /** Untouched pages, the next one last. */
  readonly #gaps: Gap[] = [];
  readonly #remnants: Gap[] = [];

  /** The room that a writer of the directory has left. */
  static of(writer: Writer): FreeSlots {
    const free = new FreeSlots();
    const gaps = [...writer.grants].reverse().flatMap(gapsOf);
    const runs = Map.groupBy(writer.runs, ({ page }) => page);
    free.#gaps.push(...gaps.flatMap((gap) => unused(gap, runs.get(gap.page) ?? [])));
    return free;
  }

  add(grant: GrantRecord): void {
    this.#gaps.unshift(...gapsOf(grant));
  }

  /** Takes `slots` slots in a row of one page, or says that there are none. */
  take(slots: number): Place | undefined {
    for (const [i, gap] of this.#remnants.entries()) {
      if (gap.end - gap.next < slots) continue;
      if (gap.end - gap.next === slots) this.#remnants.splice(i, 1);
      return takeFrom(gap, slots);
    }
    for (let gap = this.#gaps.at(-1); gap !== undefined; gap = this.#gaps.at(-1)) {
      const left = gap.end - gap.next;
      if (left <= slots) this.#gaps.pop();
      if (left >= slots) return takeFrom(gap, slots);
      this.#keepRemnant(gap);
    }
    return undefined;
  }

  #keepRemnant(gap: Gap): void {
    this.#remnants.push(gap);
    if (this.#remnants.length <= MAX_REMNANTS) return;
    this.#remnants.sort((a, b) => b.end - b.next - (a.end - a.next));
    this.#remnants.pop();
  }
}

function takeFrom(gap: Gap, slots: number): Place {
  const place = { page: gap.page, slot: gap.next };
  gap.next += slots;
  return place;
}

/** What of a gap no run uses, the first part last: behind all runs, and where series were released between them. */
function unused({ page, next, end }: Gap, runs: readonly Run[]): Gap[] {
  const gaps: Gap[] = [];
  let from = next;
  for (const run of [...runs].sort((a, b) => a.slot - b.slot)) {
    if (run.slot > from) gaps.unshift({ page, next: from, end: Math.min(run.slot, end) });
    // A run may go on from one part of a page to the next, which then is used as far as the run goes.
    from = Math.max(from, run.slot + run.count * run.metric.slots);
    if (from >= end) return gaps;
  }
  gaps.unshift({ page, next: from, end });
  return gaps;
}

/** The pages of a grant, the first one last. */
function gapsOf(grant: GrantRecord): Gap[] {
  if (grant.slots !== 0) {
    return [{ page: grant.page, next: grant.slot, end: grant.slot + grant.slots }];
  }
  return Array.from({ length: grant.pages }, (_, i) => ({
    page: grant.page + grant.pages - 1 - i,
    next: 0,
    end: SLOTS_PER_PAGE,
  }));
}
