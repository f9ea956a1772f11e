// The lake's folder: where things lie in it, and the lock by which one process alone writes there.

import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { openOwned, ownUids, SharedFile, SystemError } from "../ffi/index.ts";

/** A folder that cannot be a lake's, or is another's. */
export class LakeFolderError extends Error {
  override readonly name = "LakeFolderError";

  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

/** Where a lake is kept unless `--dir` says otherwise: in systemd's, root's or the user's directory of state. */
export function defaultLakeDir(
  env: Readonly<Record<string, string | undefined>>,
  uid: number | undefined,
): string {
  const { STATE_DIRECTORY: given, XDG_STATE_HOME: state, HOME: home } = env;
  if (given) return join(given.split(":")[0]!, "lake");
  if (uid === 0 || (!state && !home)) return "/var/lib/microview/lake";
  return join(state || `${home}/.local/state`, "microview", "lake");
}

export class LakeFolder {
  readonly dir: string;
  readonly #lock: SharedFile;

  private constructor(dir: string, lock: SharedFile) {
    this.dir = dir;
    this.#lock = lock;
  }

  /** @throws LakeFolderError when another lake has it, or it cannot be made */
  static take(given: string): LakeFolder {
    const dir = resolve(given);
    // Bun reads the path of an SQLite file as a URL.
    if (/[?#%'"\\]/.test(dir) || /\p{Cc}/u.test(dir)) {
      throw new LakeFolderError(
        `the path of the lake has a character that the catalogue cannot have: ${JSON.stringify(dir)}`,
        "name a folder without ? # % quotes and backslashes",
      );
    }
    let lock: SharedFile;
    try {
      mkdirSync(join(dir, "views"), { recursive: true, mode: 0o700 });
      lock = openLock(join(dir, "lock"));
    } catch (error) {
      throw new LakeFolderError(
        `the lake's folder ${dir} cannot be used: ${(error as Error).message}`,
        "name another folder with --dir DIR, or let this user write there",
      );
    }
    if (!lock.lock(0, 1)) {
      lock.close();
      const pid = /^\d{1,10}/.exec(textOf(join(dir, "lock")))?.[0];
      throw new LakeFolderError(
        `another lake uses ${dir}${pid === undefined ? "" : `: the process ${pid}`}`,
        "stop it first, or give this one another --dir",
      );
    }
    const text = new TextEncoder().encode(`${process.pid}\n`);
    lock.truncate(text.length);
    const mapping = lock.map(0, text.length, true);
    mapping.bytes().set(text);
    mapping.unmap();
    return new LakeFolder(dir, lock);
  }

  get cataloguePath(): string {
    return join(this.dir, "catalogue.sqlite");
  }

  get blobsDir(): string {
    return join(this.dir, "blobs");
  }

  get viewsDir(): string {
    return join(this.dir, "views");
  }

  release(): void {
    this.#lock.close();
  }
}

function openLock(path: string): SharedFile {
  try {
    return SharedFile.create(path, 0o600);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EEXIST") throw error;
    return openOwned(path, true, { uids: ownUids() });
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
