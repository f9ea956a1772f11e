// Which rings of events a host has, and each one opened. A ring is read and written by calls of the system and never
// mapped: its owner may cut the file at any moment, and touching what was cut off would end this process.

import { readdirSync, readSync, writeSync } from "node:fs";
import { type Owners, openOwned, type SharedFile } from "../ffi/index.ts";
import {
  appOfRingInShm,
  decodeRingHeader,
  isAppName,
  isRingFile,
  RING_HEADER_BYTES,
  RING_STATE,
  RingFormatError,
  type RingHeader,
  RingReader,
  SHM_DIR,
} from "../layout/index.ts";

const FENCE = new Int32Array(1);

/** A file whose name says that it is a ring. */
export interface NamedRing {
  app: string;
  path: string;
}

/** @throws Error saying why the folder cannot be listed, if it is one that somebody has named */
export function ringsNamed(poolDir?: string): NamedRing[] {
  if (poolDir === undefined) {
    return readdirSync(SHM_DIR).flatMap((name) => {
      const app = appOfRingInShm(name);
      return app === undefined ? [] : [{ app, path: `${SHM_DIR}/${name}` }];
    });
  }
  return readdirSync(poolDir)
    .filter(isAppName)
    .flatMap((app) =>
      namesIn(`${poolDir}/${app}`)
        .filter(isRingFile)
        .map((name) => ({ app, path: `${poolDir}/${app}/${name}` })),
    );
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // No folder, or one that is not for this user.
    return [];
  }
}

/** Numbers of a ring are read by calls of the system, of which only one of eight aligned bytes is one load everywhere. */
const WORD_BYTES = 8;

export class OpenRing {
  readonly reader: RingReader;
  readonly #word = new Uint8Array(WORD_BYTES);
  readonly #view = new DataView(this.#word.buffer);

  private constructor(
    readonly header: RingHeader,
    readonly file: SharedFile,
  ) {
    this.reader = new RingReader(header, (offset, bytes) => this.copy(offset, bytes));
  }

  /**
   * @param isKept whether its position will be stored
   * @throws ForeignFileError, SystemError, RingFormatError for what cannot be read as a ring
   */
  static open(path: string, owners: Owners, isKept = false): OpenRing {
    const file = openOwned(path, isKept, owners);
    try {
      const { bytes } = file.stat();
      const head = new Uint8Array(Math.min(bytes, RING_HEADER_BYTES));
      readInto(file, head, 0);
      return new OpenRing(decodeRingHeader(head, bytes), file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Whether its writer lives. */
  get isWritten(): boolean {
    const { stateOffset, shipperOffset } = this.header;
    return this.file.locked(stateOffset, Math.max(1, shipperOffset - stateOffset));
  }

  /** Words that the writer has ever committed, modulo 2³². */
  get head(): number {
    this.read(this.#word, this.header.stateOffset + RING_STATE.head);
    return this.#view.getUint32(0, true);
  }

  /** A copy of a part of the file. @throws RingFormatError when the file was cut short */
  copy(offset: number, bytes: number): Uint8Array {
    if (bytes >= WORD_BYTES || offset % WORD_BYTES !== 0) {
      const copied = new Uint8Array(bytes);
      this.read(copied, offset);
      return copied;
    }
    const word = new Uint8Array(WORD_BYTES);
    this.read(word, offset);
    return word.subarray(0, bytes);
  }

  /** Fills bytes from the file. @throws RingFormatError when the file was cut short */
  read(into: Uint8Array, offset: number): void {
    // A call is not moved by a compiler; the fence keeps the processor from looking at a body before the head.
    Atomics.add(FENCE, 0, 1);
    readInto(this.file, into, offset);
  }

  /** Stores bytes; eight of them at once. @throws RingFormatError, SystemError when they cannot be stored */
  store(offset: number, value: Uint8Array): void {
    const { bytes } = this.file.stat();
    // Storing there would make the file longer again, with nothing in it.
    if (bytes < this.header.fileBytes) throw cutTo(bytes, this.header.fileBytes);
    writeSync(this.file.fd, value, 0, value.length, offset);
  }

  close(): void {
    this.file.close();
  }
}

function readInto(file: SharedFile, into: Uint8Array, offset: number): void {
  let at = 0;
  while (at < into.length) {
    const count = readSync(file.fd, into, at, into.length - at, offset + at);
    if (count === 0) throw cutTo(file.stat().bytes, offset + into.length);
    at += count;
  }
}

function cutTo(bytes: number, needed: number): RingFormatError {
  return new RingFormatError(`the file was cut to ${bytes} of ${needed} bytes`);
}
