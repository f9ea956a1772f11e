// One application's pool as its only writer sees it: creation, adoption after a crash, and atomic changes of structure.
//
// A change is: records behind the directory's committed end, new values into the journal, the journal's commit word;
// then, with an odd generation, the values and the directory's commit word. A crash before the journal's commit
// leaves nothing, one after it leaves what `adopt` finishes. Nothing else is needed to survive kill -9 at any store.

import { linkSync, lstatSync, renameSync, rmSync, statfsSync } from "node:fs";
import {
  type Mapping,
  type Owners,
  openOwned,
  ownUids,
  SharedFile,
  SystemError,
} from "../../ffi/index.ts";
import {
  DamageError,
  Directory,
  decodeHeader,
  decodeState,
  directoryHalf,
  directoryWord,
  encodeHeader,
  HEADER,
  HEADER_BYTES_USED,
  HEADER_LIVE_BYTES,
  HEADER_LIVE_OFFSET,
  JOURNAL,
  LAYOUT_VERSION,
  PAGE,
  PAGE_BYTES,
  PAGE_MAGIC,
  PoolFormatError,
  type PoolHeader,
  type PoolSizes,
  type PoolState,
  poolGeometry,
  RecordWriter,
  slotIndex,
} from "../../layout/index.ts";
import { LimitError } from "../errors.ts";
import { compactDirectory, type Released } from "./compaction.ts";

const DIRECTORY_CHUNK_BYTES = 64 << 10;
/** Below this a directory is not worth rewriting. */
const COMPACT_ABOVE_BYTES = 256 << 10;
/** What statfs(2) calls a tmpfs. */
const TMPFS_MAGIC = 0x0102_1994;
/** Share of the directory that is kept for changes that free something: without it a full one would stay full. */
const SPARE_SHARE = 1 / 16;

/** A new value for a slot, as its index among the file's f64s. */
export interface SlotValue {
  index: number;
  value: number;
}

/** Memory that a pool lives in; the tests give one that records every store. */
interface PoolMemory {
  bytes: Uint8Array;
  slots: Float64Array;
  u32: Uint32Array;
  u64: BigUint64Array;
}

/** Views of a pool's mapping. */
export function poolMemory(buffer: ArrayBuffer): PoolMemory {
  return {
    bytes: new Uint8Array(buffer),
    slots: new Float64Array(buffer),
    u32: new Uint32Array(buffer),
    u64: new BigUint64Array(buffer),
  };
}

export interface PoolFileOptions {
  /** Permissions of the file, e.g. 0o660. */
  mode: number;
  /** Group of the file, as a number, where it is not the agent's own. */
  gid?: number;
  sizes?: PoolSizes;
}

/** See the head of the file. All methods are synchronous: a change is never seen half by this process. */
export class Pool {
  directory: Directory;
  /** Called between the stores of a change; the crash tests stop there. */
  onStore: (() => void) | undefined;
  /** Of the open file, whatever its name is. */
  readonly #inode: number;
  readonly #device: number;
  readonly #memory: PoolMemory;
  #epoch: number;
  #committedBytes: number;
  /** Bytes of the directory's halves that have memory. */
  readonly #allocated: [number, number] = [0, 0];
  #compactAboveBytes = COMPACT_ABOVE_BYTES;
  /** Length of the directory when it was rewritten last. */
  #compactedBytes = 0;

  private constructor(
    public path: string,
    readonly file: SharedFile,
    readonly header: PoolHeader,
    readonly mapping: Mapping,
  ) {
    this.#memory = poolMemory(mapping.buffer);
    const { inode, device } = file.stat();
    this.#inode = inode;
    this.#device = device;
    const state = this.#state();
    this.#epoch = state.epoch;
    this.#committedBytes = state.directoryBytes;
    this.directory = this.#replay();
  }

  get app(): string {
    return this.header.app;
  }

  get generation(): number {
    return Atomics.load(this.#memory.u32, HEADER.generation / 4);
  }

  /** Tells remote readers, in what they read of the pool anyway, to ask the agent again. */
  notify(): void {
    Atomics.add(this.#memory.u32, HEADER.notices / 4, 1);
  }

  /** What of the header changes. */
  get state(): PoolState {
    return this.#state();
  }

  /** The whole pool as f64s: a slot's index is {@link slotIndexOf}. */
  get slots(): Float64Array {
    return this.#memory.slots;
  }

  get pagesHighWater(): number {
    return this.#memory.u32[HEADER.pagesHighWater / 4]!;
  }

  /**
   * Creates an application's pool and takes its lock. It appears under its name when it is whole.
   * @throws SystemError, e.g. ENOSPC when tmpfs is full
   */
  static create(path: string, app: string, options: PoolFileOptions): Pool {
    const poolId = newPoolId();
    const header: PoolHeader = {
      ...poolGeometry(options.sizes),
      version: LAYOUT_VERSION,
      compatible: 0,
      incompatible: 0,
      app,
      createdAtMs: Date.now(),
      poolId,
      lineage: poolId,
      replacements: 0,
    };
    return Pool.#make(path, header, options);
  }

  /**
   * Makes a pool that takes the place of one whose file has lost its name: the same structure, places and values, under
   * another id. From then on nobody can read the lost one: what its writers store there is not seen before it is here.
   * @param path where it is to be
   * @param elsewhere how many writers store into the lost one
   * @throws SystemError, e.g. EEXIST when its name is taken, ENOSPC when tmpfs is full; the lost one is as it was then
   */
  static replace(lost: Pool, path: string, elsewhere: number, options: PoolFileOptions): Pool {
    const header: PoolHeader = {
      ...lost.header,
      createdAtMs: Date.now(),
      poolId: newPoolId(),
      replacements: lost.header.replacements + 1,
    };
    // Odd, and so it stays: a reader that still has the lost pool must not see more there than the new one begins with.
    lost.#beginChange();
    try {
      return Pool.#make(path, header, options, (file, mapping) => {
        lost.#copyTo(file, mapping);
        poolMemory(mapping.buffer).u32[HEADER.elsewhere / 4] = elsewhere;
      });
    } catch (error) {
      lost.#endChange();
      throw error;
    }
  }

  /** @param fill puts into the new file what it begins with */
  static #make(
    path: string,
    header: PoolHeader,
    options: PoolFileOptions,
    fill: (file: SharedFile, mapping: Mapping) => void = () => {},
  ): Pool {
    const draft = freeDraft(path);
    // Nobody else's until it is whole.
    const file = SharedFile.create(draft, 0o600);
    let mapping: Mapping | undefined;
    try {
      file.truncate(header.fileBytes);
      file.allocate(0, PAGE_BYTES + DIRECTORY_CHUNK_BYTES);
      // A typical fold finds its journal's memory in place even when tmpfs is full by then.
      file.allocate(header.journalOffset, Math.min(header.journalCapacity, 64 << 10));
      mapping = file.map(0, header.fileBytes, true);
      mapping.bytes(0, HEADER_BYTES_USED).set(encodeHeader(header));
      fill(file, mapping);
      if (options.gid !== undefined) file.setGroup(options.gid);
      // The umask does not decide who may open a pool.
      file.setMode(options.mode);
      if (!file.lock(0, PAGE_BYTES)) throw new Error(`${draft} is locked by another agent`);
      // A link, unlike a rename, fails where a pool has come into being meanwhile.
      linkSync(draft, path);
      rmSync(draft);
    } catch (error) {
      mapping?.unmap();
      file.close();
      rmSync(draft, { force: true });
      throw error;
    }
    const pool = new Pool(path, file, header, mapping);
    pool.#allocated[0] = DIRECTORY_CHUNK_BYTES;
    const side = pool.#epoch % 2;
    pool.#allocated[side] = Math.max(pool.#allocated[side]!, pool.#committedBytes);
    pool.#setPid();
    return pool;
  }

  /**
   * Takes over a pool that another agent left, finishing what it had begun.
   * @param owners whose files it may be
   * @returns undefined when a living agent holds it
   * @throws ForeignFileError when somebody else has put it there, PoolFormatError when it is damaged beyond use or of
   *   another version; the file is not touched then
   */
  static adopt(path: string, owners: Owners = { uids: ownUids() }): Pool | undefined {
    const file = openOwned(path, true, owners);
    let mapping: Mapping | undefined;
    try {
      if (!file.lock(0, PAGE_BYTES)) {
        file.close();
        return undefined;
      }
      const { bytes } = file.stat();
      const header = decodeHeader(file.head(HEADER_BYTES_USED), bytes);
      mapping = file.map(0, header.fileBytes, true);
      checkState(mapping, header);
      recover(poolMemory(mapping.buffer), header);
      const pool = new Pool(path, file, header, mapping);
      pool.#restore();
      return pool;
    } catch (error) {
      mapping?.unmap();
      file.close();
      throw error;
    }
  }

  /** Gives the pool a name beside its own that says that it is set aside, so that a new one can take its place. */
  static setAside(path: string): string {
    const aside = `${path}.damaged-${new Date().toISOString().replace(/[:.]/g, "-")}`;
    renameSync(path, aside);
    return aside;
  }

  /** Gives the file a name again. @throws SystemError ENOENT when it has none left, EEXIST when the name is taken */
  link(path: string): void {
    this.file.link(path);
    this.path = path;
  }

  /** Whether the pool's name still leads to its file. */
  get isCurrent(): boolean {
    try {
      const there = lstatSync(this.path);
      return there.ino === this.#inode && there.dev === this.#device;
    } catch {
      // It is gone, or what leads to it is.
      return false;
    }
  }

  /** Writers that store into a pool which this one has replaced. */
  get elsewhere(): number {
    return this.#memory.u32[HEADER.elsewhere / 4]!;
  }

  set elsewhere(writers: number) {
    this.#memory.u32[HEADER.elsewhere / 4] = writers;
  }

  /** Index of a page's slot among the file's f64s. */
  slotIndexOf(page: number, slot: number): number {
    return slotIndex(this.header, page, slot);
  }

  /**
   * Takes memory for pages and clears them, before they are granted.
   * @throws LimitError when tmpfs is full
   */
  preparePages(first: number, count: number, owner: number): void {
    const offset = this.header.pagesOffset + first * PAGE_BYTES;
    this.#allocate(offset, count * PAGE_BYTES);
    const { u32, bytes } = this.#memory;
    for (let page = first; page < first + count; page++) {
      const at = this.header.pagesOffset + page * PAGE_BYTES;
      const grants = u32[(at + PAGE.grants) / 4]!;
      bytes.fill(0, at, at + PAGE_BYTES);
      u32[(at + PAGE.grants) / 4] = grants + 1;
      this.#markPage(page, owner);
    }
    u32[HEADER.pagesHighWater / 4] = Math.max(u32[HEADER.pagesHighWater / 4]!, first + count);
  }

  /**
   * Takes memory for a part of the file, whatever it will hold.
   * @throws LimitError when tmpfs is full
   */
  takeMemory(offset: number, bytes: number): void {
    this.#allocate(offset, bytes);
  }

  /**
   * Rewrites the directory when a change of so many bytes might not fit, so that it need not be rewritten between the
   * making of the change and its commit: series and metrics have other ids afterwards.
   */
  reserve(bytes: number): void {
    if (this.#committedBytes + bytes <= this.#capacity) return;
    if (this.#committedBytes !== this.#compactedBytes) this.compact();
  }

  /**
   * Commits records, and with them new values of slots that nobody else writes, in one generation.
   * @param records what to append; may be empty when only values change
   * @param values absolute, so that redoing them after a crash changes nothing
   * @param frees whether the change gives something back, and so may use the room that is kept for such
   * @throws LimitError when the directory or tmpfs is full; nothing has changed then
   */
  commit(records: RecordWriter, values: readonly SlotValue[] = [], frees = false): void {
    const bytes = records.bytes.bytes();
    this.#checkRoom(bytes.length, frees);
    const half = directoryHalf(this.header, this.#epoch);
    this.#allocateDirectory(this.#epoch, this.#committedBytes + bytes.length);
    this.#memory.bytes.set(bytes, half + this.#committedBytes);
    this.onStore?.();
    const next = directoryWord(this.#epoch, this.#committedBytes + bytes.length);
    if (values.length > 0) this.#writeJournal(values, next);
    this.#beginChange();
    for (const { index, value } of values) {
      this.#memory.slots[index] = value;
      this.onStore?.();
    }
    Atomics.store(this.#memory.u64, HEADER.directoryWord / 8, next);
    this.onStore?.();
    if (values.length > 0) this.#clearJournal();
    this.#endChange();
    this.#committedBytes += bytes.length;
    this.directory.append(bytes);
  }

  /** How many values one commit can carry. */
  get valuesPerCommit(): number {
    return Math.floor((this.header.journalCapacity - JOURNAL.headerBytes) / JOURNAL.entryBytes);
  }

  /** Rewrites the directory without what has gone, when that is worth it. */
  compactIfWorthwhile(): void {
    if (this.#committedBytes > this.#compactAboveBytes) this.compact();
  }

  /**
   * Rewrites the directory without what has gone.
   * @param released what goes with this rewriting
   * @returns false when there is no room for it, in which case the directory stays as it is
   */
  compact(released?: Released): boolean {
    const records = new RecordWriter();
    compactDirectory(this.directory, records, released);
    const bytes = records.bytes.bytes();
    if (bytes.length > this.header.directoryCapacity) return false;
    const epoch = (this.#epoch + 1) >>> 0;
    const half = directoryHalf(this.header, epoch);
    try {
      this.#allocateDirectory(epoch, bytes.length);
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      return false;
    }
    this.#memory.bytes.set(bytes, half);
    this.onStore?.();
    this.#beginChange();
    Atomics.store(this.#memory.u64, HEADER.directoryWord / 8, directoryWord(epoch, bytes.length));
    this.onStore?.();
    this.#endChange();
    this.#epoch = epoch;
    this.#committedBytes = bytes.length;
    this.#compactedBytes = bytes.length;
    this.#compactAboveBytes = Math.max(COMPACT_ABOVE_BYTES, bytes.length * 2);
    this.directory = this.#replay();
    return true;
  }

  close(): void {
    this.mapping.unmap();
    this.file.close();
  }

  /** Copies what is in use: the directory, and all pages that are granted. */
  #copyTo(file: SharedFile, mapping: Mapping): void {
    const to = poolMemory(mapping.buffer);
    const { bytes, u32 } = this.#memory;
    const copy = (offset: number, length: number) => {
      if (length === 0) return;
      file.allocate(offset, length);
      to.bytes.set(bytes.subarray(offset, offset + length), offset);
    };
    copy(directoryHalf(this.header, this.#epoch), this.#committedBytes);
    const pages = new Set<number>();
    for (const { grants } of this.directory.writers.values()) {
      for (const { page, pages: count } of grants) {
        for (let i = 0; i < count; i++) pages.add(page + i);
      }
    }
    for (const page of pages) copy(this.header.pagesOffset + page * PAGE_BYTES, PAGE_BYTES);
    to.u64[HEADER.directoryWord / 8] = directoryWord(this.#epoch, this.#committedBytes);
    to.u32[HEADER.pagesHighWater / 4] = u32[HEADER.pagesHighWater / 4]!;
  }

  #state(): PoolState {
    return decodeState(this.mapping.bytes(HEADER_LIVE_OFFSET, HEADER_LIVE_BYTES), this.header);
  }

  #replay(): Directory {
    const directory = new Directory(this.#epoch, this.header.pageCapacity);
    const half = directoryHalf(this.header, this.#epoch);
    directory.append(this.mapping.bytes(half, this.#committedBytes));
    return directory;
  }

  /** After adoption: memory behind everything that was handed out, and page headers as the directory has them. */
  #restore(): void {
    this.#checkMemory();
    this.#allocated[this.#epoch % 2] = 0;
    this.#allocateDirectory(this.#epoch, this.#committedBytes);
    for (const writer of this.directory.writers.values()) {
      for (const grant of writer.grants) {
        this.#allocate(this.header.pagesOffset + grant.page * PAGE_BYTES, grant.pages * PAGE_BYTES);
        for (let page = grant.page; page < grant.page + grant.pages; page++) {
          this.#markPage(page, grant.slots === 0 ? writer.id : 0);
        }
      }
    }
    this.#setPid();
  }

  /** Each page that was granted was written to: one that has no memory was never granted, whatever the directory says. */
  #checkMemory(): void {
    let pages = 0;
    for (const { grants } of this.directory.writers.values()) {
      // Several may have parts of one page.
      for (const grant of grants) pages += grant.slots === 0 ? grant.pages : 0;
    }
    const { allocatedBytes } = this.file.stat();
    if (pages * PAGE_BYTES <= allocatedBytes || !isTmpfs(this.path)) return;
    throw new PoolFormatError(
      `its directory grants ${pages} pages, the file has memory for ${Math.floor(allocatedBytes / PAGE_BYTES)}`,
    );
  }

  #setPid(): void {
    this.#memory.u32[HEADER.agentPid / 4] = process.pid;
  }

  /** Bytes of the directory for changes that free nothing. */
  get #capacity(): number {
    return this.header.directoryCapacity * (1 - SPARE_SHARE);
  }

  #checkRoom(bytes: number, frees: boolean): void {
    const capacity = frees ? this.header.directoryCapacity : this.#capacity;
    if (this.#committedBytes + bytes <= capacity) return;
    throw new LimitError(
      "directory-full",
      `the directory of ${this.app} has no room for ${bytes} more bytes of ${this.header.directoryCapacity}`,
      "give series fewer label values, or start the application with a new pool",
    );
  }

  /** Writes a page's header, all but how many times it was handed out. */
  #markPage(page: number, owner: number): void {
    const at = (this.header.pagesOffset + page * PAGE_BYTES) / 4;
    const { u32 } = this.#memory;
    u32[at + PAGE.magic / 4] = PAGE_MAGIC;
    u32[at + PAGE.index / 4] = page;
    u32[at + PAGE.owner / 4] = owner;
  }

  #beginChange(): void {
    Atomics.add(this.#memory.u32, HEADER.generation / 4, 1);
    this.onStore?.();
  }

  #endChange(): void {
    Atomics.add(this.#memory.u32, HEADER.generation / 4, 1);
    this.onStore?.();
  }

  #writeJournal(values: readonly SlotValue[], nextWord: bigint): void {
    if (values.length > this.valuesPerCommit) {
      throw new RangeError(
        `${values.length} values in one commit, at most ${this.valuesPerCommit}`,
      );
    }
    const { journalOffset } = this.header;
    this.#allocate(journalOffset, JOURNAL.headerBytes + values.length * JOURNAL.entryBytes);
    const { u64, slots, bytes } = this.#memory;
    const first = (journalOffset + JOURNAL.headerBytes) / 8;
    for (let i = 0; i < values.length; i++) {
      u64[first + 2 * i] = BigInt(values[i]!.index);
      slots[first + 2 * i + 1] = values[i]!.value;
    }
    u64[(journalOffset + JOURNAL.nextDirectoryWord) / 8] = nextWord;
    const end = (first + 2 * values.length) * 8;
    u64[(journalOffset + JOURNAL.checksum) / 8] = BigInt(
      Bun.hash.crc32(bytes.subarray(journalOffset + JOURNAL.headerBytes, end)),
    );
    this.onStore?.();
    Atomics.store(u64, (journalOffset + JOURNAL.commit) / 8, BigInt(values.length + 1));
    this.onStore?.();
  }

  #clearJournal(): void {
    Atomics.store(this.#memory.u64, (this.header.journalOffset + JOURNAL.commit) / 8, 0n);
    this.onStore?.();
  }

  #allocateDirectory(epoch: number, bytes: number): void {
    const side = epoch % 2;
    if (bytes <= this.#allocated[side]!) return;
    const target = Math.min(
      Math.ceil(bytes / DIRECTORY_CHUNK_BYTES) * DIRECTORY_CHUNK_BYTES,
      this.header.directoryCapacity,
    );
    this.#allocate(directoryHalf(this.header, epoch), target);
    this.#allocated[side] = target;
  }

  #allocate(offset: number, bytes: number): void {
    if (bytes === 0) return;
    try {
      this.file.allocate(offset, bytes);
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== "ENOSPC") throw error;
      throw new LimitError(
        "memory-full",
        `no memory is left for ${bytes} bytes more in ${this.path}`,
        "enlarge the tmpfs (e.g. `mount -o remount,size=1G /dev/shm`) or lower --max-pages",
      );
    }
  }
}

function newPoolId(): number {
  return Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
}

/** A name beside the pool's while it is being made; another one if somebody else has taken the usual one. */
function freeDraft(path: string): string {
  const draft = `${path}.new-${process.pid}`;
  try {
    rmSync(draft, { force: true });
    return draft;
  } catch {
    return `${path}.new-${Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)}`;
  }
}

/** Only tmpfs reports a file's memory exactly; others may compress it, or count differently. */
function isTmpfs(path: string): boolean {
  return statfsSync(path).type === TMPFS_MAGIC;
}

/** Refuses a pool whose state cannot be one of its geometry, before anything of it is touched. */
function checkState(mapping: Mapping, header: PoolHeader): void {
  try {
    decodeState(mapping.bytes(HEADER_LIVE_OFFSET, HEADER_LIVE_BYTES), header);
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
    throw new PoolFormatError(`the pool's state is damaged: ${error.message}`);
  }
}

/**
 * Finishes what a dead agent had begun: redoes a committed journal, and makes the generation even.
 * The journal may be damaged: values outside of pages, wrong checksums, and a directory that is longer than its room
 * are not applied.
 */
export function recover(memory: PoolMemory, header: PoolHeader): void {
  const { u32, u64, slots, bytes } = memory;
  const { journalOffset, journalCapacity, pagesOffset, fileBytes } = header;
  const count = Number(u64[(journalOffset + JOURNAL.commit) / 8]!) - 1;
  const first = (journalOffset + JOURNAL.headerBytes) / 8;
  const end = (first + 2 * count) * 8;
  if (count > 0 && end <= journalOffset + journalCapacity) {
    const checksum = Bun.hash.crc32(bytes.subarray(journalOffset + JOURNAL.headerBytes, end));
    const next = u64[(journalOffset + JOURNAL.nextDirectoryWord) / 8]!;
    const fits = Number(next & 0xffff_ffffn) * 8 <= header.directoryCapacity;
    if (fits && u64[(journalOffset + JOURNAL.checksum) / 8] === BigInt(checksum)) {
      for (let i = 0; i < count; i++) {
        const index = Number(u64[first + 2 * i]!);
        if (index >= pagesOffset / 8 && index < fileBytes / 8) {
          slots[index] = slots[first + 2 * i + 1]!;
        }
      }
      Atomics.store(u64, HEADER.directoryWord / 8, next);
    }
  }
  Atomics.store(u64, (journalOffset + JOURNAL.commit) / 8, 0n);
  if ((u32[HEADER.generation / 4]! & 1) === 1) Atomics.add(u32, HEADER.generation / 4, 1);
}
