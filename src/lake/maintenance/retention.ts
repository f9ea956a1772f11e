// Drops what is too old, or too much, and deletes what was dropped. The catalogue forgets first, and bytes go when nobody
// reads them any more: a kill in between leaves bytes that the next pass or the sweep takes.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../../guard/index.ts";
import type { Blobs } from "../blobs/index.ts";
import type { Catalogue, ViewState } from "../catalogue/index.ts";
import type { Retention } from "../context.ts";
import type { PinnedFiles } from "../tables/index.ts";
import { earlierOf, isoTime, laterOf, NS_PER_MS } from "../times.ts";

/** For room, all of so much time goes at once, and what is newer than that stays. */
const UNIT_NS = 60_000_000_000n;
/** What is dropped for room makes some more of it, so that not each pass has to. */
const ROOM_SHARE = 0.95;

interface RetainerParts {
  /** The lake's folder. */
  dir: string;
  catalogue: Catalogue;
  state: ViewState;
  blobs: Blobs;
  log: Log;
  retention: Retention;
  pinned: PinnedFiles;
  /** Files that were replaced or dropped stay so long: a query may have just found them. */
  graceMs: number;
  nowNs: () => bigint;
}

export class Retainer {
  readonly #parts: RetainerParts;

  constructor(parts: RetainerParts) {
    this.#parts = parts;
  }

  /** One pass. */
  async round(): Promise<void> {
    const { state, catalogue, log } = this.#parts;
    const beforeNs = laterOf(await state.retiredBefore(), await this.#limit());
    if (beforeNs > 0n) {
      const { blocks, files } = await state.retire(beforeNs);
      if (blocks + files > 0) {
        const before = isoTime(beforeNs);
        log.info("old events were dropped", { before, blocks, files });
      }
    }
    await this.#deleteFiles();
    await this.#deleteBlobs();
    if (beforeNs > 0n) await catalogue.forgetProcesses(beforeNs);
  }

  /** What ended before this has to go. */
  async #limit(): Promise<bigint> {
    const { retention, state, nowNs } = this.#parts;
    const { ageMs, bytes } = retention;
    const now = nowNs();
    const forAge = ageMs === undefined ? 0n : now - BigInt(Math.round(ageMs)) * NS_PER_MS;
    if (bytes === undefined) return forAge;
    if ((await state.timeOfBytes(bytes, UNIT_NS)) === 0n) return forAge;
    const forRoom = await state.timeOfBytes(bytes * ROOM_SHARE, UNIT_NS);
    return laterOf(forAge, earlierOf(forRoom, now - UNIT_NS));
  }

  async #deleteFiles(): Promise<void> {
    const { catalogue, dir, graceMs, nowNs, pinned } = this.#parts;
    const dropped = await catalogue.droppedPartitions(nowNs() - BigInt(graceMs) * NS_PER_MS);
    const free = dropped.filter(({ file }) => !pinned.has(file));
    for (const { file } of free) await rm(join(dir, file), { force: true });
    if (free.length > 0) {
      await catalogue.forgetPartitions(free.map(({ partitionId }) => partitionId));
    }
  }

  async #deleteBlobs(): Promise<void> {
    const { catalogue, blobs, nowNs } = this.#parts;
    const empty = await catalogue.emptySegments(nowNs());
    for (const { blob } of empty) await blobs.delete(blob);
    if (empty.length > 0) {
      await catalogue.forgetSegments(empty.map(({ segmentId }) => segmentId));
    }
  }
}
