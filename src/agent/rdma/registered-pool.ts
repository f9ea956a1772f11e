// The memory of one pool that the queue pairs of one protection domain may read: what is in use, in segments, and no more.

import type { Domain, Region } from "../../ffi/index.ts";
import { directoryHalf, PAGE_BYTES } from "../../layout/index.ts";
import type { RdmaRegion } from "../../rest/index.ts";
import type { Pool } from "../pool/pool.ts";

/** Pages are pinned by so many bytes at a time. */
export const SEGMENT_BYTES = 1 << 20;
/** The directory's memory is taken in these steps by the pool itself. */
const DIRECTORY_STEP_BYTES = 64 << 10;
/** What is not in use any more stays registered for so long: a READ that was planned before may be under way. */
const RETIRE_AFTER_MS = 10_000;

interface Registered {
  offset: number;
  region: Region;
}

/** Consecutive regions from `start` on. */
interface Run {
  start: number;
  end: number;
  regions: Registered[];
}

export class RegisteredPool {
  readonly #header: Run = newRun(0);
  readonly #directory: [Run, Run];
  #pages: Run;
  readonly #retired: { atMs: number; regions: Registered[] }[] = [];
  /** Since when less than what is registered is in use. */
  #excessSinceMs: number | undefined;

  constructor(
    readonly pool: Pool,
    readonly domain: Domain,
  ) {
    const { header } = pool;
    this.#directory = [newRun(directoryHalf(header, 0)), newRun(directoryHalf(header, 1))];
    this.#pages = newRun(header.pagesOffset);
  }

  /** Bytes that are pinned. */
  get pinnedBytes(): number {
    let bytes = 0;
    for (const { region } of this.#all()) bytes += region.bytes;
    return bytes;
  }

  get regionCount(): number {
    return [...this.#all()].length;
  }

  /**
   * Registers what has come into use.
   * @returns everything that can be read
   * @throws SystemError ENOMEM at the memory-lock limit, LimitError when tmpfs is full; what was registered stays
   */
  sync(): RdmaRegion[] {
    const { epoch, directoryBytes } = this.pool.state;
    this.#extend(this.#header, PAGE_BYTES);
    const half = this.#directory[epoch % 2]!;
    this.#extend(half, half.start + roundUp(Math.max(directoryBytes, 1), DIRECTORY_STEP_BYTES));
    this.#extend(this.#pages, this.#pagesEnd());
    const regions = [...this.#header.regions, ...half.regions, ...this.#pages.regions];
    return regions.map(({ offset, region }) => ({
      offset,
      bytes: region.bytes,
      key: region.remoteKey,
    }));
  }

  /**
   * Lets go of what has not been in use for a while.
   * @returns whether readers have to ask again for what they may read
   */
  trim(nowMs: number): boolean {
    while (this.#retired[0] !== undefined && nowMs - this.#retired[0].atMs >= RETIRE_AFTER_MS) {
      for (const { region } of this.#retired.shift()!.regions) region.close();
    }
    const other = this.#directory[(this.pool.state.epoch + 1) % 2]!;
    const pagesEnd = this.#pagesEnd();
    const excess = other.regions.length > 0 || this.#pages.end > pagesEnd;
    if (!excess) {
      this.#excessSinceMs = undefined;
      return false;
    }
    this.#excessSinceMs ??= nowMs;
    if (nowMs - this.#excessSinceMs < RETIRE_AFTER_MS) return false;
    this.#excessSinceMs = undefined;
    const retired = other.regions.splice(0);
    other.end = other.start;
    if (this.#pages.end > pagesEnd) {
      const pages = newRun(this.#pages.start);
      this.#extend(pages, pagesEnd);
      retired.push(...this.#pages.regions);
      this.#pages = pages;
    }
    this.#retired.push({ atMs: nowMs, regions: retired });
    return true;
  }

  close(): void {
    for (const { region } of this.#all()) region.close();
  }

  *#all(): Generator<Registered> {
    yield* this.#header.regions;
    for (const half of this.#directory) yield* half.regions;
    yield* this.#pages.regions;
    for (const { regions } of this.#retired) yield* regions;
  }

  /** Where the segment of the last page in use ends. */
  #pagesEnd(): number {
    const { pool } = this;
    let pages = 0;
    for (const { grants } of pool.directory.writers.values()) {
      for (const grant of grants) pages = Math.max(pages, grant.page + grant.pages);
    }
    const { pagesOffset, fileBytes } = pool.header;
    return Math.min(pagesOffset + roundUp(pages * PAGE_BYTES, SEGMENT_BYTES), fileBytes);
  }

  #extend(run: Run, end: number): void {
    const { maxRegionBytes } = this.domain.device.facts;
    while (run.end < end) {
      const bytes = Math.min(end - run.end, maxRegionBytes);
      // Pinning would take the memory page by page, and not say what is wrong when there is none.
      this.pool.takeMemory(run.end, bytes);
      const address = this.pool.mapping.address + run.end;
      run.regions.push({
        offset: run.end,
        region: this.domain.register(address, bytes, run.end),
      });
      run.end += bytes;
    }
  }
}

function newRun(start: number): Run {
  return { start, end: start, regions: [] };
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
