// A writer as the directory holds it while it replays a log. Grants and runs may come and go in any order and number:
// they are brought into order when somebody asks for them, so that no order makes replaying take long.

import { SLOTS_PER_PAGE_STRIDE } from "../constants.ts";
import type { Run } from "./entries.ts";
import type { GrantRecord, WriterRecord } from "./records.ts";
import { Spans } from "./spans.ts";

/** New runs that are put into their places one by one; more of them are sorted together. */
const INSERTED_MAX = 16;

export class WriterEntry implements WriterRecord {
  declare readonly id: number;
  declare readonly service: number;
  declare readonly flags: number;
  declare readonly pid: number;
  declare readonly threadId: number;
  declare readonly startedAtMs: number;
  declare readonly lockOffset: number;
  declare readonly lockBytes: number;
  declare readonly secretHash?: Uint8Array;
  #revision = 0;
  /** By their first slots. */
  readonly #granted = new Map<number, GrantRecord>();
  #grants: GrantRecord[] | undefined = [];
  /** In the order of their series, joined where they follow on; what `#newRuns` has is not yet among them. */
  #runs: Run[] = [];
  #newRuns: Run[] = [];
  /** Of each new run: how many of the removed grants were there no more when it came. */
  #bornAfter: number[] = [];
  /** Grants that were taken back since, whose runs are still there. */
  #removed: GrantRecord[] = [];

  constructor(
    record: WriterRecord,
    readonly serviceName: string,
    readonly retained: boolean,
  ) {
    Object.assign(this, record);
  }

  /** Raised whenever its runs may have changed. */
  get revision(): number {
    return this.#revision;
  }

  /** In the order in which they were given. */
  get grants(): GrantRecord[] {
    this.#grants ??= [...this.#granted.values()];
    return this.#grants;
  }

  /** In the order of their first series. */
  get runs(): Run[] {
    if (this.#removed.length > 0 || this.#newRuns.length > 0) this.#settle();
    return this.#runs;
  }

  /** @internal */
  addGrant(firstSlot: number, grant: GrantRecord): void {
    this.#granted.set(firstSlot, grant);
    this.#grants?.push(grant);
  }

  /** @internal @returns undefined when there is none that begins there */
  removeGrant(firstSlot: number): GrantRecord | undefined {
    const grant = this.#granted.get(firstSlot);
    if (grant === undefined) return undefined;
    this.#granted.delete(firstSlot);
    this.#grants = undefined;
    this.#removed.push(grant);
    this.#revision++;
    return grant;
  }

  /** @internal */
  addRun(run: Run): void {
    this.#revision++;
    const last = this.#newRuns.at(-1);
    const removed = this.#removed.length;
    if (last !== undefined && this.#bornAfter.at(-1) === removed && follows(last, run)) {
      last.count += run.count;
      return;
    }
    this.#newRuns.push(run);
    this.#bornAfter.push(removed);
  }

  #settle(): void {
    const added = this.#removed.length > 0 ? this.#dropRemoved() : this.#newRuns;
    this.#newRuns = [];
    this.#bornAfter = [];
    if (added.length > INSERTED_MAX || !added.every((run) => insert(this.#runs, run))) {
      // Of those that were inserted before one failed the second mention has nothing to add.
      this.#runs = inOrder([...this.#runs, ...added]);
    }
  }

  /**
   * Leaves out what was bound in grants that were taken back, and keeps what was bound in the same slots afterwards.
   * @returns what is left of the new runs
   */
  #dropRemoved(): Run[] {
    const removed = this.#removed;
    const covered = new Spans<true>();
    const kept: Run[][] = [];
    const cover = (from: number) => {
      while (removed.length > from) {
        const [start, end] = spanOf(removed.pop()!);
        covered.clear(start, end);
        covered.add(start, end, true);
      }
    };
    // Backwards in time: a run is ended by what was taken back after it.
    for (let i = this.#newRuns.length - 1; i >= 0; i--) {
      cover(this.#bornAfter[i]!);
      kept.push(outside(covered, this.#newRuns[i]!));
    }
    cover(0);
    this.#runs = this.#runs.flatMap((run) => outside(covered, run));
    return kept.reverse().flat();
  }
}

/** How many of the runs, which are in the order of their series, start at or before a series. */
export function runsUpTo(runs: readonly Run[], series: number): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (runs[middle]!.firstSeries <= series) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The slots of a grant, counted from the first page, 512 for each. */
export function spanOf({ page, pages, slot, slots }: GrantRecord): [from: number, to: number] {
  const from = page * SLOTS_PER_PAGE_STRIDE + slot;
  return slots === 0 ? [from, from + pages * SLOTS_PER_PAGE_STRIDE] : [from, from + slots];
}

/** Puts a run into its place. @returns false when some of its series are there already */
function insert(runs: Run[], run: Run): boolean {
  const place = runsUpTo(runs, run.firstSeries);
  const before = runs[place - 1];
  const after = runs[place];
  if (before !== undefined && before.firstSeries + before.count > run.firstSeries) return false;
  if (after !== undefined && run.firstSeries + run.count > after.firstSeries) return false;
  let joined = run;
  if (before !== undefined && follows(before, run)) {
    before.count += run.count;
    joined = before;
  }
  const joinsAfter = after !== undefined && follows(joined, after);
  if (joinsAfter) joined.count += after.count;
  if (joined === run) runs.splice(place, joinsAfter ? 1 : 0, run);
  else if (joinsAfter) runs.splice(place, 1);
  return true;
}

/** Runs by their series, joined where they follow on. A series that stands in several is the first one's. */
function inOrder(runs: Run[]): Run[] {
  runs.sort((a, b) => a.firstSeries - b.firstSeries);
  const joined: Run[] = [];
  for (const run of runs) {
    const last = joined.at(-1);
    const known = last === undefined ? 0 : last.firstSeries + last.count - run.firstSeries;
    if (known >= run.count) continue;
    const rest = known > 0 ? part(run, known, run.count) : run;
    if (last !== undefined && follows(last, rest)) last.count += rest.count;
    else joined.push(rest);
  }
  return joined;
}

function follows(last: Run, next: Run): boolean {
  return (
    last.metric === next.metric &&
    last.page === next.page &&
    last.firstSeries + last.count === next.firstSeries &&
    last.slot + last.count * last.metric.slots === next.slot &&
    last.valueIndex + last.count * last.metric.slots === next.valueIndex
  );
}

/** What of a run does not begin in some slots: runs go on from one part of a page to the next. */
function outside(slots: Spans<true>, run: Run): Run[] {
  const first = run.page * SLOTS_PER_PAGE_STRIDE + run.slot;
  const left: Run[] = [];
  for (let i = 0; i < run.count; ) {
    const from = i;
    while (i < run.count && slots.at(first + i * run.metric.slots) === undefined) i++;
    if (i > from) left.push(part(run, from, i));
    while (i < run.count && slots.at(first + i * run.metric.slots) !== undefined) i++;
  }
  return left;
}

function part(run: Run, from: number, to: number): Run {
  if (from === 0 && to === run.count) return run;
  const { slots } = run.metric;
  return {
    ...run,
    firstSeries: run.firstSeries + from,
    count: to - from,
    slot: run.slot + from * slots,
    valueIndex: run.valueIndex + from * slots,
  };
}
