// Reads pools by mapping their files, on the host where they lie. Needs only the right to read them.

import { readdirSync } from "node:fs";
import {
  type CopiedMemory,
  type Owners,
  openOwned,
  ownUids,
  type SharedFile,
  type SystemError,
} from "../ffi/index.ts";
import {
  decodeHeader,
  HEADER_BYTES_USED,
  MERGE_GAP_SLOTS,
  type NamedPool,
  PoolFormatError,
  poolsNamed,
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

const FOLDER_REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such folder",
  ENOTDIR: "it is no folder",
  EACCES: "this user may not look into it",
};

interface MappedPool extends RemotePool {
  file: SharedFile;
  memory: CopiedMemory;
  path: string;
  inode: number;
  device: number;
  uid: number;
}

/** A file that could not be read as a pool is looked at again after so long: anybody may make very many of them. */
const UNREADABLE_RETRY_MS = 1000;

export class MmapTransport implements Transport {
  readonly name = "mmap";
  readonly fd = -1;
  readonly events = 0;
  readonly mergeGapSlots = MERGE_GAP_SLOTS;
  readonly counters = newCounters();
  poolsGeneration = 0;
  readonly #pools = new Map<number, MappedPool>();
  readonly #poolDir: string | undefined;
  readonly #owners: Owners;
  readonly #onUnreadable: (app: string, reason: string) => void;
  /** Files that cannot be read as pools, why, and when to look at them again. */
  #unreadable = new Map<string, { reason: string; retryAtMs: number }>();
  #nextId = 1;

  /**
   * @param poolDir where pools lie as DIR/<app>/pool; default is /dev/shm/microview.<app>
   * @param onUnreadable told once of a file that has a pool's name and cannot be read as one
   * @param uids users whose pools are read, the agent's first; those of others are unreadable
   */
  constructor(
    poolDir?: string,
    onUnreadable: (app: string, reason: string) => void = () => undefined,
    uids: readonly number[] = ownUids(),
  ) {
    this.#poolDir = poolDir;
    this.#owners = { uids, ...(poolDir === undefined ? {} : { folder: poolDir }) };
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
      if (at + bytes > into.bytes.length) throw new RangeError("there is no room for what is read");
      pool.memory.copy(offset, bytes, into.address + at);
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
    const named = poolsNamed(namesIn(this.#poolDir ?? SHM_DIR), this.#poolDir);
    const unreadable = new Map<string, { reason: string; retryAtMs: number }>();
    for (const [app, files] of Map.groupBy(named, (file) => file.app)) {
      const pool = known.get(app);
      known.delete(app);
      const found = this.#openFirst(files, pool, unreadable);
      if (found !== undefined && found === pool) continue;
      if (pool !== undefined) this.#drop(pool);
      if (found === undefined) continue;
      this.#nextId++;
      this.#pools.set(found.id, found);
      this.poolsGeneration++;
    }
    for (const pool of known.values()) this.#drop(pool);
    this.#unreadable = unreadable;
  }

  /** Of the files that have an application's name the agent's own, else the first that can be read. */
  #openFirst(
    files: readonly NamedPool[],
    known: MappedPool | undefined,
    unreadable: Map<string, { reason: string; retryAtMs: number }>,
  ): MappedPool | undefined {
    const [agent] = this.#owners.uids;
    let first: MappedPool | undefined;
    for (const { app, path } of files) {
      const before = this.#unreadable.get(path);
      if (before !== undefined && Date.now() < before.retryAtMs) {
        unreadable.set(path, before);
        continue;
      }
      try {
        const opened = openPool(path, app, this.#nextId, this.#owners, known);
        if (opened === undefined) continue;
        const left = first !== undefined && opened.uid !== agent ? opened : first;
        if (left !== opened) first = opened;
        if (left !== undefined && left !== known) unmap(left);
        if (opened.uid === agent) break;
      } catch (error) {
        const reason = (error as Error).message;
        unreadable.set(path, { reason, retryAtMs: Date.now() + UNREADABLE_RETRY_MS });
        if (before?.reason !== reason) this.#onUnreadable(app, reason);
      }
    }
    return first;
  }

  #drop(pool: MappedPool): void {
    this.#pools.delete(pool.id);
    this.poolsGeneration++;
    unmap(pool);
  }
}

function unmap(pool: MappedPool): void {
  pool.memory.unmap();
  pool.file.close();
}

/** @throws Error saying why a folder cannot be looked into */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new Error(`there are no pools in ${folder}: ${FOLDER_REASONS[code] ?? message}`);
  }
}

/**
 * Maps a pool for reading; gives the one that is mapped when it is the same file, undefined when there is none.
 * @throws ForeignFileError, SystemError, PoolFormatError for what cannot be read as a pool
 */
function openPool(
  path: string,
  app: string,
  id: number,
  owners: Owners,
  known: MappedPool | undefined,
): MappedPool | undefined {
  let file: SharedFile;
  try {
    file = openOwned(path, false, owners);
  } catch (error) {
    const { code } = error as SystemError;
    // A folder without a pool, or a file that is no folder: nobody has said that there is one.
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
  try {
    const { bytes: fileBytes, inode, device, uid } = file.stat();
    if (known?.path === path && known.inode === inode && known.device === device) {
      file.close();
      return known;
    }
    const header = decodeHeader(file.head(HEADER_BYTES_USED), fileBytes);
    if (header.app !== app) throw new PoolFormatError(`${path} is a pool of ${header.app}`);
    return {
      id,
      app,
      poolId: header.poolId,
      fileBytes: header.fileBytes,
      file,
      memory: file.mapForCopies(header.fileBytes),
      path,
      inode,
      device,
      uid,
    };
  } catch (error) {
    file.close();
    throw error;
  }
}
