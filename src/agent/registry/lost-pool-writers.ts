// Writers that store into a pool which was lost: its file was removed or replaced, and a new pool has its place. The lost
// file lives on, with its locks, as long as somebody has it open. Until a writer has moved, what it has stored there is
// copied into its place in the new pool at each look; when it dies first, one last time. See docs/decisions/0025.

import { isUnlocked, type Run, type Writer } from "../../layout/index.ts";
import type { Pool } from "../pool/pool.ts";

interface Stay {
  /** Where it may store, besides the application's pool: the longest lost first. */
  pools: Pool[];
  /** Whether the agent has said that it may store into the application's pool. */
  isMoving: boolean;
  /** Of a writer without a lock: what it had stored when it was looked at last. */
  seen?: Float64Array;
}

export class LostPoolWriters {
  readonly #stays = new Map<number, Stay>();

  get size(): number {
    return this.#stays.size;
  }

  /** Pools that somebody may still store into. */
  get pools(): Set<Pool> {
    return new Set([...this.#stays.values()].flatMap(({ pools }) => pools));
  }

  /** A pool was lost, and all its writers are still there. */
  add(lost: Pool, writers: Iterable<Writer>): void {
    for (const { id, lockOffset, lockBytes } of writers) {
      const stay = this.#stays.get(id);
      if (stay === undefined) this.#stays.set(id, { pools: [lost], isMoving: false });
      // Also one that has only come to lock its place there: that may be all that says that it lives.
      else if (stay.isMoving || lost.file.locked(lockOffset, lockBytes)) {
        stay.pools.push(lost);
        stay.isMoving = false;
      }
    }
  }

  /** Whether a writer may not be given anything in the application's pool yet. */
  has(writer: number): boolean {
    return this.#stays.get(writer)?.isMoving === false;
  }

  /** A writer that holds its lock in the application's pool too may store there from now on. */
  move(writer: number): void {
    const stay = this.#stays.get(writer);
    if (stay !== undefined) stay.isMoving = true;
  }

  /** A writer that was allowed to move attaches again: it has not moved. */
  stay(writer: number): void {
    const stay = this.#stays.get(writer);
    if (stay !== undefined) stay.isMoving = false;
  }

  /** Whether a writer holds its lock in a lost pool. */
  holds(writer: Writer): boolean {
    const stay = this.#stays.get(writer.id);
    return (
      stay?.pools.some(({ file }) => file.locked(writer.lockOffset, writer.lockBytes)) ?? false
    );
  }

  /**
   * Brings a writer's place in the application's pool up to date, and forgets where else it was when it has moved or died.
   * @returns whether it still lives elsewhere
   */
  look(writer: Writer, to: Pool): boolean {
    const stay = this.#stays.get(writer.id);
    if (stay === undefined) return false;
    if (isUnlocked(writer)) {
      this.#copyChanged(writer, stay, to);
      return true;
    }
    // The lost lock is checked first: a writer that still holds the new one after that has moved completely.
    const livesThere = this.holds(writer);
    const hasMoved =
      !livesThere && stay.isMoving && to.file.locked(writer.lockOffset, writer.lockBytes);
    if (!hasMoved && !(livesThere && stay.isMoving)) {
      for (const from of stay.pools) {
        // Gauges of the dead expire.
        const withGauges = from.file.locked(writer.lockOffset, writer.lockBytes);
        copyValues(writer, from, to, withGauges);
      }
    }
    if (!livesThere) this.#stays.delete(writer.id);
    return livesThere;
  }

  forget(writer: number): void {
    this.#stays.delete(writer);
  }

  /** A writer without a lock says neither that it has moved nor that it died: only what it changes is copied. */
  #copyChanged(writer: Writer, stay: Stay, to: Pool): void {
    const from = stay.pools.at(-1)!;
    const seen = new Float64Array(writer.runs.reduce((sum, run) => sum + slotsOf(run), 0));
    let at = 0;
    for (const run of writer.runs) {
      const first = from.slotIndexOf(run.page, run.slot);
      for (let i = 0; i < slotsOf(run); i++, at++) {
        const value = from.slots[first + i]!;
        seen[at] = value;
        if (stay.seen?.length === seen.length && !Object.is(value, stay.seen[at])) {
          to.slots[first + i] = value;
        }
      }
    }
    stay.seen = seen;
  }
}

function slotsOf(run: Run): number {
  return run.count * run.metric.slots;
}

/**
 * Takes over what a writer has stored in a lost pool, series by series, unless there is more in the other place already:
 * counts only grow, and the writer that moves copies all of its values before it stores the next one. So whichever of
 * the two has counted more is whole, also when the writer died while it copied.
 */
function copyValues(writer: Writer, from: Pool, to: Pool, withGauges: boolean): void {
  for (const { page, slot, count, metric } of writer.runs) {
    const { kind } = metric.definition;
    if (kind === "gauge" && !withGauges) continue;
    const counts = kind === "gauge" ? 0 : kind === "counter" ? 1 : metric.slots - 1;
    for (let i = 0; i < count; i++) {
      const first = from.slotIndexOf(page, slot + i * metric.slots);
      if (counts > 0 && sum(to.slots, first, counts) > sum(from.slots, first, counts)) continue;
      for (let j = first; j < first + metric.slots; j++) to.slots[j] = from.slots[j]!;
    }
  }
}

function sum(slots: Float64Array, first: number, count: number): number {
  let total = 0;
  for (let i = first; i < first + count; i++) total += slots[i]!;
  return total;
}
