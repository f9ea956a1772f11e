// A writer's place in a pool: its lock and its mapped pages. Made from the agent's answer, ended with the writer.

import { statSync } from "node:fs";
import { dirname } from "node:path";
import {
  forkCount,
  type Mapping,
  openOwned,
  ownUids,
  type SharedFile,
  WriterHold,
} from "../ffi/index.ts";
import {
  decodeHeader,
  HEADER_BYTES_USED,
  PAGE_BYTES,
  PAGE_HEADER_SLOTS,
  type PoolHeader,
  poolPath,
  SLOTS_PER_PAGE,
  SLOTS_PER_PAGE_STRIDE,
} from "../layout/index.ts";
import type { AttachResponse, Extent, PreviousPlace } from "../rest/index.ts";
import type { Series } from "./cells.ts";

export class Attachment {
  readonly writer: number;
  readonly poolId: number;
  /** By what the agent knows this place again when another pool has taken this one's place. */
  readonly place: PreviousPlace;
  #path: string;
  readonly #inode: number;
  readonly #device: number;
  readonly #forks: number;
  readonly #pagesOffset: number;
  readonly #pageCapacity: number;
  readonly #hold: WriterHold;
  readonly #mappings: Mapping[] = [];
  /** Values and index of slot 0, by page. */
  readonly #pages = new Map<number, { values: Float64Array; at: number }>();
  /** First page of each mapping, by its values. */
  readonly #firstPages = new Map<Float64Array, number>();
  /** What the agent has handed out, by first page and slot. */
  readonly #extents = new Map<string, Extent>();

  private constructor(
    answer: AttachResponse,
    path: string,
    file: SharedFile,
    { pagesOffset, pageCapacity }: PoolHeader,
  ) {
    this.writer = answer.writer;
    const { poolId, lineage = poolId, replacements = 0 } = answer.pool;
    this.poolId = poolId;
    this.place = { writer: this.writer, poolId, lineage, replacements };
    this.#pagesOffset = pagesOffset;
    this.#pageCapacity = pageCapacity;
    this.#path = path;
    const { inode, device } = file.stat();
    this.#inode = inode;
    this.#device = device;
    this.#forks = forkCount();
    this.#hold = new WriterHold(file);
  }

  /**
   * Opens the pool and takes the writer's lock.
   * @param poolDir where this process sees pools, when that is not where the agent does (a container's mount)
   * @param uids users whose pools it may be; in a folder that others may not write to it may be anybody's
   * @returns undefined when the agent has given the place up meanwhile: attach again
   * @throws ForeignFileError, SystemError when the pool cannot be opened, Error when it is another one than the agent's
   */
  static open(
    answer: AttachResponse,
    app: string,
    poolDir: string | undefined,
    uids: readonly number[] = ownUids(),
  ): Attachment | undefined {
    const path = pathOf(answer, app, poolDir);
    const file = openOwned(path, true, { uids, folder: dirname(dirname(path)) });
    let attachment: Attachment;
    try {
      const header = decodeHeader(file.head(HEADER_BYTES_USED), file.stat().bytes);
      if (header.poolId !== answer.pool.poolId || header.pagesOffset !== answer.pool.pagesOffset) {
        throw new Error(`${path} is not the pool that the agent keeps for ${app}`);
      }
      if (!file.lock(answer.lock.offset, answer.lock.bytes)) {
        file.close();
        return undefined;
      }
      attachment = new Attachment(answer, path, file, header);
    } catch (error) {
      file.close();
      throw error;
    }
    try {
      attachment.add(answer.extents);
      return attachment;
    } catch (error) {
      attachment.close();
      throw error;
    }
  }

  /** The pool's file has the name that the agent says now. */
  follow(answer: AttachResponse, app: string, poolDir: string | undefined): void {
    this.#path = pathOf(answer, app, poolDir);
  }

  /** The pool's file, as this process sees it. */
  get path(): string {
    return this.#path;
  }

  /** Maps what the agent has handed out. @throws RangeError for what is none of the pool's pages */
  add(extents: readonly Extent[]): void {
    for (const extent of extents) {
      const { page, pages } = extent;
      if (!(page >= 0 && pages > 0 && page + pages <= this.#pageCapacity)) {
        throw new RangeError(`the agent hands out pages that ${this.#path} does not have`);
      }
      this.#extents.set(`${page} ${extent.slot}`, extent);
      // Several shares of one page are one mapping.
      if (this.#pages.has(page)) continue;
      const mapping = this.#hold.map(this.#pagesOffset + page * PAGE_BYTES, pages * PAGE_BYTES);
      this.#mappings.push(mapping);
      const values = new Float64Array(mapping.buffer);
      this.#firstPages.set(values, page);
      for (let i = 0; i < pages; i++) {
        this.#pages.set(page + i, { values, at: i * SLOTS_PER_PAGE_STRIDE + PAGE_HEADER_SLOTS });
      }
    }
  }

  /** Where a slot is in mapped memory. @throws Error when the agent names a page that it has not granted */
  placeOf(page: number, slot: number): { values: Float64Array; at: number } {
    const place = this.#pages.get(page);
    if (place === undefined || !(slot >= 0 && slot < SLOTS_PER_PAGE)) {
      throw new Error(`slot ${slot} of page ${page} was not handed to writer ${this.writer}`);
    }
    return { values: place.values, at: place.at + slot };
  }

  /** Whether the pool's name still leads to its file. A file that has lost its name can be stored into all the same. */
  get isCurrent(): boolean {
    try {
      const there = statSync(this.#path);
      return there.ino === this.#inode && there.dev === this.#device;
    } catch {
      // It is gone, or this process may not look there any more.
      return false;
    }
  }

  /** Whether this process is a fork of the one that attached: it has neither the lock nor the pages. */
  get isForked(): boolean {
    return forkCount() !== this.#forks;
  }

  /**
   * Takes all that was stored to the same places of the pool that has taken this one's place. Nothing is stored
   * meanwhile. If this thread dies on the way, the agent takes, for each series, the place that has counted more.
   * @param to holds its lock already
   */
  moveTo(to: Attachment, placed: Iterable<Series>): void {
    for (const extent of this.#extents.values()) {
      for (const [from, into] of this.#rows(extent, to)) into.set(from);
    }
    for (const { cell } of placed) {
      const first = this.#firstPages.get(cell.values)!;
      const page = first + Math.floor(cell.at / SLOTS_PER_PAGE_STRIDE);
      const slot = (cell.at % SLOTS_PER_PAGE_STRIDE) - PAGE_HEADER_SLOTS;
      const { values, at } = to.placeOf(page, slot);
      cell.values = values;
      cell.at = at;
    }
    this.clear();
  }

  /**
   * Forgets what was stored here, now that it is elsewhere: were this file to come back, it would be counted twice.
   * In ascending order, so that a histogram's sum goes after its counts.
   */
  clear(): void {
    for (const extent of this.#extents.values()) {
      for (const [row] of this.#rows(extent, this)) {
        for (let i = 0; i < row.length; i++) row[i] = 0;
      }
    }
  }

  /** The slots of an extent here and there, page by page. */
  *#rows(
    { page, pages, slot, slots }: Extent,
    to: Attachment,
  ): Generator<[here: Float64Array, there: Float64Array]> {
    const count = slots === 0 ? SLOTS_PER_PAGE : slots;
    for (let each = page; each < page + pages; each++) {
      const here = this.placeOf(each, slot);
      const there = to.placeOf(each, slot);
      yield [
        here.values.subarray(here.at, here.at + count),
        there.values.subarray(there.at, there.at + count),
      ];
    }
  }

  /** Lets go of lock and pages. Nothing may point to them any more. */
  close(): void {
    this.#hold.close(this.#mappings);
    this.#pages.clear();
    this.#firstPages.clear();
    this.#extents.clear();
  }
}

function pathOf({ pool }: AttachResponse, app: string, poolDir: string | undefined): string {
  return poolDir === undefined ? pool.path : poolPath(app, poolDir);
}
