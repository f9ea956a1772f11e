// Which rings of events a host has, and each one opened for reading: mapped, with its writer's lock.

import { readdirSync } from "node:fs";
import { type Mapping, type Owners, openOwned, type SharedFile } from "../ffi/index.ts";
import {
  appOfRingInShm,
  decodeRingHeader,
  isAppName,
  isRingFile,
  RING_HEADER_BYTES,
  RingFormatError,
  type RingHeader,
  RingReader,
  SHM_DIR,
} from "../layout/index.ts";

const FENCE = new Int32Array(1);

/** A file whose name says that it is a ring. */
interface NamedRing {
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

export class OpenRing {
  readonly reader: RingReader;

  private constructor(
    readonly header: RingHeader,
    readonly file: SharedFile,
    readonly mapping: Mapping,
  ) {
    this.reader = new RingReader(header, (offset, bytes) => {
      const there = file.stat().bytes;
      if (there < mapping.byteLength) {
        // Touching what was cut off would end this process.
        throw new RingFormatError(`the file was cut to ${there} of ${mapping.byteLength} bytes`);
      }
      // Copies are calls into the runtime, which no compiler moves; the fence keeps the processor from it.
      Atomics.add(FENCE, 0, 1);
      return mapping.bytes(offset, bytes).slice();
    });
  }

  /**
   * @param isKept whether its position will be stored
   * @throws ForeignFileError, SystemError, RingFormatError for what cannot be read as a ring
   */
  static open(path: string, owners: Owners, isKept = false): OpenRing {
    const file = openOwned(path, isKept, owners);
    try {
      const { bytes } = file.stat();
      const header = decodeRingHeader(file.head(RING_HEADER_BYTES), bytes);
      return new OpenRing(header, file, file.map(0, bytes, false));
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

  close(): void {
    this.mapping.unmap();
    this.file.close();
  }
}
