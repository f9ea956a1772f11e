// Files, mappings and locks as typed functions over the shim.

import { type Pointer, ptr, toArrayBuffer } from "bun:ffi";
import { constants, fchmodSync, fchownSync } from "node:fs";
import { check } from "./errno.ts";
import { shim } from "./shim.ts";

const outWord = new BigUint64Array(1);
const outStat = new Float64Array(8);

function path0(path: string): never {
  return Buffer.from(`${path}\0`) as never;
}

/** What the kernel says of an open file. Sizes in bytes. */
interface FileStat {
  bytes: number;
  inode: number;
  device: number;
  links: number;
  allocatedBytes: number;
  /** A plain file, and no folder, FIFO, socket or device. */
  isFile: boolean;
  /** Permissions, e.g. 0o660. */
  mode: number;
  uid: number;
  gid: number;
}

const KIND_BITS = 0o170000;
const PLAIN_FILE = 0o100000;

/**
 * Locks a file that is open for writing against others who do so too, until it is closed or its process ends.
 * @returns false when another opening holds it; where the file system has no locks everybody gets it
 */
export function lockWhole(fd: number): boolean {
  const status = shim().mv_lock(fd, 0, 1);
  return status !== -11 && status !== -13;
}

/** An open file whose locks belong to this opening of it. */
export class SharedFile {
  private constructor(
    readonly path: string,
    readonly fd: number,
  ) {}

  /** Waits for nobody. @throws SystemError when it cannot be opened, or is no plain file: that is not even opened */
  static open(path: string, writable: boolean): SharedFile {
    const flags = writable ? constants.O_RDWR : constants.O_RDONLY;
    return new SharedFile(
      path,
      check(shim().mv_open(path0(path), flags, 0), `cannot open ${path}`),
    );
  }

  /** @throws SystemError when the file exists or cannot be created */
  static create(path: string, mode: number): SharedFile {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    return new SharedFile(
      path,
      check(shim().mv_open(path0(path), flags, mode), `cannot create ${path}`),
    );
  }

  stat(): FileStat {
    check(shim().mv_stat(this.fd, outStat as never), `cannot stat ${this.path}`);
    const mode = outStat[5]!;
    return {
      bytes: outStat[0]!,
      inode: outStat[1]!,
      device: outStat[2]!,
      links: outStat[3]!,
      allocatedBytes: outStat[4]!,
      isFile: (mode & KIND_BITS) === PLAIN_FILE,
      mode: mode & 0o7777,
      uid: outStat[6]!,
      gid: outStat[7]!,
    };
  }

  /** Sets the permissions of this very file, whatever has its name by now. */
  setMode(mode: number): void {
    fchmodSync(this.fd, mode);
  }

  setGroup(gid: number): void {
    fchownSync(this.fd, -1, gid);
  }

  /** Gives the file a name again. @throws SystemError ENOENT when it has none left, EEXIST when the name is taken */
  link(path: string): void {
    check(shim().mv_link(this.fd, path0(path)), `cannot link ${path}`);
  }

  truncate(bytes: number): void {
    check(shim().mv_truncate(this.fd, bytes), `cannot size ${this.path} to ${bytes} bytes`);
  }

  /** Takes memory for a part of the file now. @throws SystemError ENOSPC when tmpfs is full */
  allocate(offset: number, bytes: number): void {
    check(
      shim().mv_allocate(this.fd, offset, bytes),
      `cannot take ${bytes} bytes for ${this.path}`,
    );
  }

  /** A copy of the first bytes; of all of them where the file is shorter. Nothing else of the file is mapped. */
  head(bytes: number): Uint8Array {
    const length = Math.min(bytes, this.stat().bytes);
    if (length === 0) return new Uint8Array();
    const mapping = this.map(0, length, false);
    try {
      return mapping.bytes().slice();
    } finally {
      mapping.unmap();
    }
  }

  map(offset: number, bytes: number, writable: boolean): Mapping {
    return Mapping.of(this.fd, offset, bytes, writable, this.path);
  }

  /** Maps the first bytes to copy from, for a thread that stores nothing there. */
  mapForCopies(bytes: number): CopiedMemory {
    return CopiedMemory.of(this.fd, bytes, this.path);
  }

  /** Takes the lock of some bytes; false when another opening holds it. */
  lock(offset: number, bytes: number): boolean {
    const status = shim().mv_lock(this.fd, offset, bytes);
    if (status === -11 || status === -13) return false;
    check(status, `cannot lock ${this.path}`);
    return true;
  }

  unlock(offset: number, bytes: number): void {
    check(shim().mv_unlock(this.fd, offset, bytes), `cannot unlock ${this.path}`);
  }

  /** Whether another opening of the file holds the lock of any of the bytes. */
  locked(offset: number, bytes: number): boolean {
    return (
      check(shim().mv_locked(this.fd, offset, bytes), `cannot test a lock of ${this.path}`) === 1
    );
  }

  close(): void {
    shim().mv_close(this.fd);
  }
}

/** Mapped memory. After {@link Mapping.unmap} its buffer is detached: a late access throws instead of crashing. */
export class Mapping {
  private constructor(
    readonly address: number,
    readonly buffer: ArrayBuffer,
  ) {}

  /** @internal maps a descriptor; fd −1 is anonymous memory */
  static of(fd: number, offset: number, bytes: number, writable: boolean, name: string): Mapping {
    check(
      shim().mv_map(fd, offset, bytes, writable ? 1 : 0, outWord as never),
      `cannot map ${name}`,
    );
    const address = Number(outWord[0]);
    try {
      return Mapping.at(address, bytes);
    } catch (error) {
      // More than an ArrayBuffer holds: without it nobody would ever unmap the memory.
      shim().mv_unmap(address as never, bytes);
      throw error;
    }
  }

  /** Views memory that is mapped already. */
  static at(address: number, bytes: number): Mapping {
    return new Mapping(address, toArrayBuffer(address as Pointer, 0, bytes));
  }

  get byteLength(): number {
    return this.buffer.byteLength;
  }

  bytes(offset = 0, length = this.buffer.byteLength - offset): Uint8Array {
    return new Uint8Array(this.buffer, offset, length);
  }

  unmap(): void {
    const bytes = this.buffer.byteLength;
    if (bytes === 0) return;
    this.buffer.transfer(0);
    check(shim().mv_unmap(this.address as never, bytes), "cannot unmap");
  }
}

/**
 * Mapped memory of a file that is only copied from. Unlike a {@link Mapping} it has no ArrayBuffer: that would count as a
 * part of the heap, whole, however little of the file there is, and a heap of gigabytes is hardly ever collected.
 */
export class CopiedMemory {
  #bytes: number;

  private constructor(
    readonly address: number,
    bytes: number,
  ) {
    this.#bytes = bytes;
  }

  /** @internal */
  static of(fd: number, bytes: number, name: string): CopiedMemory {
    check(shim().mv_map(fd, 0, bytes, 0, outWord as never), `cannot map ${name}`);
    return new CopiedMemory(Number(outWord[0]), bytes);
  }

  /**
   * Copies a part to an address, which has room for it.
   * @throws RangeError for what is outside, as everything is after {@link CopiedMemory.unmap}
   */
  copy(offset: number, bytes: number, to: number): void {
    if (!(offset >= 0 && bytes >= 0 && offset + bytes <= this.#bytes)) {
      throw new RangeError(`bytes ${offset} to ${offset + bytes} of ${this.#bytes} are not mapped`);
    }
    shim().mv_copy(to as never, (this.address + offset) as never, bytes);
  }

  unmap(): void {
    const bytes = this.#bytes;
    if (bytes === 0) return;
    this.#bytes = 0;
    check(shim().mv_unmap(this.address as never, bytes), "cannot unmap");
  }
}

/** Zeroed memory whose address stays, for system calls that read into it. */
export function allocateBuffer(bytes: number): Mapping {
  return Mapping.of(-1, 0, Math.max(bytes, 4096), true, "anonymous memory");
}

/** Memory that threads share, with its address for system calls that read into it; zeroed. */
export function allocateShared(bytes: number): { buffer: SharedArrayBuffer; address: number } {
  const buffer = new SharedArrayBuffer(bytes);
  return { buffer, address: ptr(new Uint8Array(buffer)) };
}

/**
 * A writer's hold on its pool: the lock goes and the pages are unmapped when it closes, when its thread ends,
 * and when its process dies. In a forked child the same pages are private zeroes (see {@link forkCount}).
 */
export class WriterHold {
  #handle: Pointer | null;

  /** @param file is taken over: do not close it */
  constructor(readonly file: SharedFile) {
    this.#handle = shim().mv_writer_open(file.fd) as Pointer | null;
    if (this.#handle === null) throw new Error("not enough memory for a writer");
  }

  /** Maps a part of the pool for writing. */
  map(offset: number, bytes: number): Mapping {
    check(
      shim().mv_writer_map(this.#handle, offset, bytes, outWord as never),
      `cannot map ${this.file.path}`,
    );
    return Mapping.at(Number(outWord[0]), bytes);
  }

  /** Detaches the mappings given, then lets everything go. */
  close(mappings: Iterable<Mapping>): void {
    if (this.#handle === null) return;
    for (const mapping of mappings) mapping.buffer.transfer(0);
    shim().mv_writer_close(this.#handle);
    this.#handle = null;
  }
}

/** How many forks lie between this process and the one that loaded the shim. */
export function forkCount(): number {
  return shim().mv_forks();
}
