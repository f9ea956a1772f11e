// Answers to LIST, made once for all who may see the same. They lie in memory that the kernel sends from, and stay there
// until the last of their receivers has them.

import { allocateBuffer, type Mapping } from "../../ffi/index.ts";
import type { Grant } from "../../guard/index.ts";
import type { WirePool } from "../../layout/index.ts";

/** One answer, shared by those who are sent it. */
export class Listing {
  readonly memory: Mapping;
  readonly lengthBytes: number;
  #users = 0;
  #isStale = false;

  constructor(pools: readonly WirePool[]) {
    const json = new TextEncoder().encode(JSON.stringify(pools));
    this.lengthBytes = json.length;
    this.memory = allocateBuffer(json.length);
    this.memory.bytes().set(json);
  }

  take(): this {
    this.#users++;
    return this;
  }

  release(): void {
    this.#users--;
    this.#endUnused();
  }

  /** It goes to no further receivers; sends under way are finished. */
  expire(): void {
    this.#isStale = true;
    this.#endUnused();
  }

  #endUnused(): void {
    if (this.#isStale && this.#users === 0) this.memory.unmap();
  }
}

export class Listings {
  readonly #known = new Map<Grant, Listing>();

  /** @param poolsOf the pools that exist for a grant */
  constructor(readonly poolsOf: (grant: Grant) => WirePool[]) {}

  of(grant: Grant): Listing {
    let listing = this.#known.get(grant);
    if (listing === undefined) {
      listing = new Listing(this.poolsOf(grant));
      this.#known.set(grant, listing);
    }
    return listing;
  }

  /** Pools or grants have changed. */
  expire(): void {
    for (const listing of this.#known.values()) listing.expire();
    this.#known.clear();
  }
}
