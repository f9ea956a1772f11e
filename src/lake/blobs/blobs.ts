// Where segments lie as they arrived: bytes under keys, written once. A folder does it here; object stores can too.

/** A part of a blob, in bytes. */
export interface BlobRange {
  offset: number;
  bytes: number;
}

export interface Blobs {
  /**
   * Stores bytes that outlive a power cut once this returns. What is there stays as it is.
   * @returns false when the key is taken
   * @throws BlobsFullError when there is no room
   */
  putNew(key: string, bytes: Uint8Array): Promise<boolean>;
  /** @throws BlobMissingError, also for a part beyond its end */
  get(key: string, range?: BlobRange): Promise<Uint8Array>;
  /** What is not there is no error. */
  delete(key: string): Promise<void>;
  /** All keys that begin so, in order. */
  list(prefix?: string): AsyncIterable<{ key: string; bytes: number; modifiedMs: number }>;
}

export class BlobMissingError extends Error {
  override readonly name = "BlobMissingError";
}

/** The store has no room left, or may not grow. */
export class BlobsFullError extends Error {
  override readonly name = "BlobsFullError";
}

/** Segments of path-safe characters, so that a key is a path below a folder as well. */
const KEY = /^[a-z0-9][a-z0-9._=-]{0,127}(?:\/[a-z0-9][a-z0-9._=-]{0,127}){0,7}$/;

/** @throws RangeError for a key that could leave the store, or that no file system takes */
export function checkBlobKey(key: string): void {
  if (!KEY.test(key))
    throw new RangeError(`no key of a blob: ${JSON.stringify(key.slice(0, 200))}`);
}
