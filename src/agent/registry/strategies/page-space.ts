// Which pages of a pool are free, whole or shared. Made from the directory's grants, kept up with each change.

import { type Directory, type GrantRecord, LIMITS, SLOTS_PER_PAGE } from "../../../layout/index.ts";
import { LimitError } from "../../errors.ts";

/** Slots that a shared page is handed out by: a cache line, so that writers never share one. */
export const GRANULE_SLOTS = 8;
const GRANULES = SLOTS_PER_PAGE / GRANULE_SLOTS;

const FREE = 0;
const WHOLE = 1;
const SHARED = 2;

/** The pages of one pool. */
export class PageSpace {
  readonly #state: Uint8Array;
  /** Busy granules of each shared page, and the service it is shared within. */
  readonly #shared = new Map<number, { service: number; busy: Uint8Array }>();
  #lowestFree = 0;
  #used = 0;

  /** @param limit pages that may be in use at once, at most the pool's capacity */
  constructor(
    directory: Directory,
    readonly limit: number,
  ) {
    this.#state = new Uint8Array(Math.min(directory.pageCapacity, LIMITS.pageCapacity));
    for (const writer of directory.writers.values()) {
      for (const grant of writer.grants) this.hold(grant, writer.service);
    }
  }

  /** Pages in use. */
  get used(): number {
    return this.#used;
  }

  /** First of `count` free pages in a row. @throws LimitError when there are none */
  findFree(count: number): number {
    const { limit } = this;
    if (this.#used + count <= limit) {
      let run = 0;
      for (let page = this.#lowestFree; page < this.#state.length; page++) {
        run = this.#state[page] === FREE ? run + 1 : 0;
        if (run === count) return page - count + 1;
      }
    }
    throw new LimitError(
      "pages-full",
      `${count} pages are needed where ${this.#used} of ${limit} are in use`,
      "start the agent with a higher --max-pages, or use fewer series",
    );
  }

  /** A place for slots in a page that the service shares already, or undefined. `slots` in whole granules. */
  findShared(service: number, slots: number): { page: number; slot: number } | undefined {
    const needed = slots / GRANULE_SLOTS;
    for (const [page, shared] of this.#shared) {
      if (shared.service !== service) continue;
      let run = 0;
      for (let granule = 0; granule < GRANULES; granule++) {
        run = shared.busy[granule] === 0 ? run + 1 : 0;
        if (run === needed) return { page, slot: (granule - needed + 1) * GRANULE_SLOTS };
      }
    }
    return undefined;
  }

  /** Marks what was granted. */
  hold(grant: GrantRecord, service: number): void {
    if (grant.slots === 0) {
      for (let page = grant.page; page < grant.page + grant.pages; page++) this.#take(page, WHOLE);
      return;
    }
    let shared = this.#shared.get(grant.page);
    if (shared === undefined) {
      shared = { service, busy: new Uint8Array(GRANULES) };
      this.#shared.set(grant.page, shared);
      this.#take(grant.page, SHARED);
    }
    shared.busy.fill(1, ...granules(grant));
  }

  /** Frees what was granted; a shared page is free when nobody holds any of it. */
  free(grant: GrantRecord): void {
    if (grant.slots === 0) {
      for (let page = grant.page; page < grant.page + grant.pages; page++) this.#give(page);
      return;
    }
    const shared = this.#shared.get(grant.page);
    if (shared === undefined) return;
    shared.busy.fill(0, ...granules(grant));
    if (shared.busy.includes(1)) return;
    this.#shared.delete(grant.page);
    this.#give(grant.page);
  }

  #take(page: number, state: number): void {
    if (this.#state[page] === FREE) this.#used++;
    this.#state[page] = state;
    while (this.#state[this.#lowestFree] !== FREE && this.#lowestFree < this.#state.length) {
      this.#lowestFree++;
    }
  }

  #give(page: number): void {
    if (this.#state[page] !== FREE) this.#used--;
    this.#state[page] = FREE;
    if (page < this.#lowestFree) this.#lowestFree = page;
  }
}

function granules(grant: GrantRecord): [number, number] {
  const first = grant.slot / GRANULE_SLOTS;
  return [first, first + Math.ceil(grant.slots / GRANULE_SLOTS)];
}
