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
  type AttachResponse,
  decodeHeader,
  type Extent,
  HEADER_BYTES_USED,
  PAGE_BYTES,
  PAGE_HEADER_SLOTS,
  poolPath,
  SLOTS_PER_PAGE_STRIDE,
} from "../layout/index.ts";

export class Attachment {
  readonly writer: number;
  readonly poolId: number;
  readonly #path: string;
  readonly #inode: number;
  readonly #forks: number;
  readonly #pagesOffset: number;
  readonly #hold: WriterHold;
  readonly #mappings: Mapping[] = [];
  /** Values and index of slot 0, by page. */
  readonly #pages = new Map<number, { values: Float64Array; at: number }>();

  private constructor(answer: AttachResponse, path: string, file: SharedFile, inode: number) {
    this.writer = answer.writer;
    this.poolId = answer.pool.poolId;
    this.#pagesOffset = answer.pool.pagesOffset;
    this.#path = path;
    this.#inode = inode;
    this.#forks = forkCount();
    this.#hold = new WriterHold(file);
  }

  /**
   * Opens the pool and takes the writer's lock.
   * @param poolDir where this process sees pools, when that is not where the agent does (a container's mount)
   * @param uids users whose pools it may be; in a folder that others may not write to it may be anybody's
   * @returns undefined when the agent has given the place up meanwhile: attach anew
   * @throws ForeignFileError, SystemError when the pool cannot be opened, Error when it is another one than the agent's
   */
  static open(
    answer: AttachResponse,
    app: string,
    poolDir: string | undefined,
    uids: readonly number[] = ownUids(),
  ): Attachment | undefined {
    const path = poolDir === undefined ? answer.pool.path : poolPath(app, poolDir);
    const file = openOwned(path, true, { uids, folder: dirname(dirname(path)) });
    let attachment: Attachment;
    try {
      const { inode } = file.stat();
      if (readPoolId(file) !== answer.pool.poolId) {
        throw new Error(`${path} is not the pool that the agent keeps for ${app}`);
      }
      if (!file.lock(answer.lock.offset, answer.lock.bytes)) {
        file.close();
        return undefined;
      }
      attachment = new Attachment(answer, path, file, inode);
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

  /** Maps what the agent has handed out. */
  add(extents: readonly Extent[]): void {
    for (const { page, pages } of extents) {
      // Several shares of one page are one mapping.
      if (this.#pages.has(page)) continue;
      const mapping = this.#hold.map(this.#pagesOffset + page * PAGE_BYTES, pages * PAGE_BYTES);
      this.#mappings.push(mapping);
      const values = new Float64Array(mapping.buffer);
      for (let i = 0; i < pages; i++) {
        this.#pages.set(page + i, { values, at: i * SLOTS_PER_PAGE_STRIDE + PAGE_HEADER_SLOTS });
      }
    }
  }

  /** Where a slot is in mapped memory. @throws Error when the agent names a page that it has not granted */
  place(page: number, slot: number): { values: Float64Array; at: number } {
    const place = this.#pages.get(page);
    if (place === undefined)
      throw new Error(`page ${page} was not handed to writer ${this.writer}`);
    return { values: place.values, at: place.at + slot };
  }

  /**
   * Whether stores still reach the pool that others read: it has not been replaced, and this process is not a fork
   * of the one that attached.
   */
  isCurrent(): boolean {
    return (
      forkCount() === this.#forks &&
      statSync(this.#path, { throwIfNoEntry: false })?.ino === this.#inode
    );
  }

  /** Lets go of lock and pages. Nothing may point to them any more. */
  close(): void {
    this.#hold.close(this.#mappings);
    this.#pages.clear();
  }
}

function readPoolId(file: SharedFile): number {
  const { bytes } = file.stat();
  const head = file.map(0, HEADER_BYTES_USED, false);
  try {
    return decodeHeader(head.bytes(0, Math.min(bytes, HEADER_BYTES_USED)), bytes).poolId;
  } finally {
    head.unmap();
  }
}
