// Reads pools by mapping their files, on the host where they lie. Needs only the right to read them.

import { readdirSync } from "node:fs";
import { type Mapping, SharedFile, type SystemError } from "../ffi/index.ts";
import {
  appOfShmFile,
  checkAppName,
  decodeHeader,
  HEADER_BYTES_USED,
  MERGE_GAP_SLOTS,
  type PoolHeader,
  poolPath,
  SHM_DIR,
} from "../layout/index.ts";
import {
  type ByteRange,
  type Destination,
  MovedError,
  newCounters,
  type ReadFailure,
  type RemotePool,
  type Transport,
} from "./transport.ts";

interface MappedPool extends RemotePool {
  file: SharedFile;
  mapping: Mapping;
  bytes: Uint8Array;
  inode: number;
}

export class MmapTransport implements Transport {
  readonly name = "mmap";
  readonly fd = -1;
  readonly events = 0;
  readonly mergeGapSlots = MERGE_GAP_SLOTS;
  readonly counters = newCounters();
  poolsGeneration = 0;
  readonly #pools = new Map<number, MappedPool>();
  readonly #poolDir: string | undefined;
  readonly #onUnreadable: (app: string, reason: string) => void;
  /** Applications whose pools cannot be read, and why. */
  #unreadable = new Map<string, string>();
  #nextId = 1;

  /**
   * @param poolDir where pools lie as DIR/<app>/pool; default is /dev/shm/microview.<app>
   * @param onUnreadable told once of a file that has a pool's name and cannot be read as one
   */
  constructor(
    poolDir?: string,
    onUnreadable: (app: string, reason: string) => void = () => undefined,
  ) {
    this.#poolDir = poolDir;
    this.#onUnreadable = onUnreadable;
  }

  list(done: (pools: RemotePool[] | Error) => void): void {
    try {
      this.#rescan();
      done(
        [...this.#pools.values()].map(({ id, app, poolId, fileBytes }) => ({
          id,
          app,
          poolId,
          fileBytes,
        })),
      );
    } catch (error) {
      done(error as Error);
    }
  }

  read(
    { id }: RemotePool,
    ranges: readonly ByteRange[],
    into: Destination,
    done: (failure: ReadFailure) => void,
  ): void {
    const pool = this.#pools.get(id);
    if (pool === undefined) return done(new MovedError("the pool is gone"));
    let at = 0;
    for (const { offset, bytes } of ranges) {
      if (offset + bytes > pool.fileBytes)
        return done(new MovedError("the range is outside of the pool"));
      into.bytes.set(pool.bytes.subarray(offset, offset + bytes), at);
      at += bytes;
    }
    this.counters.requests++;
    this.counters.completions++;
    this.counters.bytes += at;
    done(undefined);
  }

  progress(): void {}

  close(): void {
    for (const pool of this.#pools.values()) unmap(pool);
    this.#pools.clear();
  }

  /** Maps what is new and lets go of what was replaced or removed. */
  #rescan(): void {
    const known = new Map([...this.#pools.values()].map((pool) => [pool.app, pool]));
    const unreadable = new Map<string, string>();
    for (const app of appsIn(this.#poolDir)) {
      const pool = known.get(app);
      known.delete(app);
      let opened: MappedPool | "same" | undefined;
      try {
        opened = openPool(poolPath(app, this.#poolDir), app, this.#nextId, pool?.inode);
      } catch (error) {
        unreadable.set(app, (error as Error).message);
      }
      if (opened === "same") continue;
      if (pool !== undefined) this.#drop(pool);
      if (opened === undefined) continue;
      this.#nextId++;
      this.#pools.set(opened.id, opened);
      this.poolsGeneration++;
    }
    for (const pool of known.values()) this.#drop(pool);
    for (const [app, reason] of unreadable) {
      if (this.#unreadable.get(app) !== reason) this.#onUnreadable(app, reason);
    }
    this.#unreadable = unreadable;
  }

  #drop(pool: MappedPool): void {
    this.#pools.delete(pool.id);
    this.poolsGeneration++;
    unmap(pool);
  }
}

function unmap(pool: MappedPool): void {
  pool.mapping.unmap();
  pool.file.close();
}

/** Applications whose pools lie in a directory, readable or not. */
function appsIn(poolDir: string | undefined): string[] {
  const names = readdirSync(poolDir ?? SHM_DIR);
  const apps = poolDir === undefined ? names.map(appOfShmFile) : names;
  return apps.filter((app): app is string => {
    try {
      checkAppName(app ?? "");
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Maps a pool for reading; "same" when the file is the one that is mapped, undefined when there is none.
 * @throws SystemError, PoolFormatError for what cannot be read as a pool
 */
function openPool(
  path: string,
  app: string,
  id: number,
  knownInode: number | undefined,
): MappedPool | "same" | undefined {
  let file: SharedFile;
  try {
    file = SharedFile.open(path, false);
  } catch (error) {
    const { code } = error as SystemError;
    // A folder without a pool, or a file that is no folder: nobody has said that there is one.
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
  try {
    const { bytes: fileBytes, inode } = file.stat();
    if (inode === knownInode) {
      file.close();
      return "same";
    }
    const header = readHeader(file, fileBytes);
    const mapping = file.map(0, header.fileBytes, false);
    return {
      id,
      app,
      poolId: header.poolId,
      fileBytes: header.fileBytes,
      file,
      mapping,
      bytes: mapping.bytes(),
      inode,
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

function readHeader(file: SharedFile, fileBytes: number): PoolHeader {
  const head = file.map(0, HEADER_BYTES_USED, false);
  try {
    return decodeHeader(head.bytes(0, Math.min(fileBytes, HEADER_BYTES_USED)), fileBytes);
  } finally {
    head.unmap();
  }
}
