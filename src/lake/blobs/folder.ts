// Blobs as files of a folder. A file appears whole, by a link, once its bytes are on disk; then its folder is synced.

import { constants, existsSync, promises as fs } from "node:fs";
import { dirname, join } from "node:path";
import {
  BlobMissingError,
  type BlobRange,
  type Blobs,
  BlobsFullError,
  checkBlobKey,
} from "./blobs.ts";

/** What is being written; no key begins with a dot. */
const UNFINISHED = ".unfinished";
const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG", "EROFS"]);

export class FolderBlobs implements Blobs {
  readonly #dir: string;
  /** Folders that are there and synced. */
  readonly #made = new Set<string>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Removes what a killed process left unfinished: only one may use a folder. */
  static async open(dir: string): Promise<FolderBlobs> {
    await fs.rm(join(dir, UNFINISHED), { recursive: true, force: true });
    await fs.mkdir(join(dir, UNFINISHED), { recursive: true, mode: 0o700 });
    return new FolderBlobs(dir);
  }

  async putNew(key: string, bytes: Uint8Array): Promise<boolean> {
    checkBlobKey(key);
    const path = join(this.#dir, key);
    const unfinished = join(this.#dir, UNFINISHED, crypto.randomUUID());
    try {
      await this.#folder(dirname(path));
      await writeSynced(unfinished, bytes);
      await fs.link(unfinished, path);
      await syncFolder(dirname(path));
      return true;
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") return false;
      if (FULL.has(code)) throw new BlobsFullError((error as Error).message, { cause: error });
      throw error;
    } finally {
      await fs.rm(unfinished, { force: true });
    }
  }

  async get(key: string, range?: BlobRange): Promise<Uint8Array> {
    checkBlobKey(key);
    const path = join(this.#dir, key);
    let file: fs.FileHandle;
    try {
      file = await fs.open(path, constants.O_RDONLY);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      throw new BlobMissingError(`there is no blob ${key}`);
    }
    try {
      const { size } = await file.stat();
      const { offset, bytes } = range ?? { offset: 0, bytes: size };
      if (offset + bytes > size)
        throw new BlobMissingError(
          `blob ${key} has ${size} bytes, and ${offset + bytes} are needed`,
        );
      const buffer = new Uint8Array(bytes);
      let at = 0;
      while (at < bytes) {
        const { bytesRead } = await file.read(buffer, at, bytes - at, offset + at);
        if (bytesRead === 0) throw new BlobMissingError(`blob ${key} was cut while it was read`);
        at += bytesRead;
      }
      return buffer;
    } finally {
      await file.close();
    }
  }

  async delete(key: string): Promise<void> {
    checkBlobKey(key);
    await fs.rm(join(this.#dir, key), { force: true });
  }

  async *list(prefix = ""): ReturnType<Blobs["list"]> {
    // There are very many of them: only what is below the prefix is looked at.
    const below = join(this.#dir, prefix.slice(0, prefix.lastIndexOf("/") + 1));
    if (!existsSync(below)) return;
    const names = await fs.readdir(below, { recursive: true, withFileTypes: true });
    const keys = names
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(this.#dir.length + 1))
      .filter((key) => key.startsWith(prefix) && !key.startsWith("."));
    for (const key of keys.sort()) {
      const { size, mtimeMs } = await fs.stat(join(this.#dir, key));
      yield { key, bytes: size, modifiedMs: mtimeMs };
    }
  }

  /** First parts of keys. */
  async folders(): Promise<string[]> {
    const names = await fs.readdir(this.#dir, { withFileTypes: true });
    return names
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
      .map(({ name }) => name)
      .sort();
  }

  async #folder(path: string): Promise<void> {
    if (this.#made.has(path)) return;
    await fs.mkdir(path, { recursive: true, mode: 0o700 });
    for (let each = path; each.length >= this.#dir.length; each = dirname(each)) {
      await syncFolder(each);
    }
    this.#made.add(path);
  }
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await fs.open(path, "wx", 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await fs.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
