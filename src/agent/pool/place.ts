// The directory that pools lie in: whether an agent can keep pools there at all, tried out when it starts and looked at
// while it runs.

import { accessSync, constants, linkSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { openOwned, ownUids, SharedFile } from "../../ffi/index.ts";
import { AGENT_APP, HEADER, PAGE_BYTES, poolPath, SHM_DIR } from "../../layout/index.ts";
import type { Problem } from "../../rest/index.ts";
import { folderMode, makeFolder } from "./folder.ts";

/** An agent cannot keep pools where it was told to. */
class PlaceError extends Error implements Problem {
  override readonly name = "PlaceError";

  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EEXIST: "it is a file, and no directory",
  ENOTDIR: "a part of its path is a file, and no directory",
  ENOENT: "nothing can be made there",
  EACCES: "this user may not write there",
  EPERM: "this user may not write there, or its file system does not allow it",
  EROFS: "its file system is read-only",
  ENOSYS: "its file system lacks what pools need",
  EOPNOTSUPP: "its file system lacks what pools need",
  ENODEV: "its file system has no files that can be mapped",
  EINVAL: "its file system lacks what pools need",
};

const ELSEWHERE = "give another --pool-dir, on a tmpfs that this user may write to";
const MEND = "let the agent's user write there again; services go on meanwhile";

export class PoolPlace {
  readonly #path: string;

  constructor(
    readonly poolDir: string | undefined,
    /** Of the pools. */
    readonly mode: number,
    readonly gid: number | undefined,
  ) {
    this.#path = poolDir ?? SHM_DIR;
  }

  /**
   * Makes the directory of --pool-dir, and tries out all that pools need: files that are made, mapped, locked and linked.
   * Nothing of it stays. A lack of room is no reason to fail: existing pools are kept nevertheless.
   * @throws PlaceError telling why no agent can work there
   */
  tryOut(): void {
    this.#attempt(() => {
      if (this.poolDir !== undefined) makeFolder(this.#path, folderMode(this.mode), this.gid);
      if (!statSync(this.#path).isDirectory()) throw systemError("EEXIST");
    });
    // Anybody may write there, and could have taken a name that can be guessed.
    const probe = join(this.#path, `.microview-probe-${crypto.randomUUID()}`);
    const twin = `${probe}-2`;
    const clear = () => {
      for (const path of [probe, twin]) rmSync(path, { force: true });
    };
    try {
      this.#attempt(() => {
        const file = SharedFile.create(probe, 0o600);
        try {
          file.truncate(PAGE_BYTES);
          file.map(0, PAGE_BYTES, true).unmap();
          file.lock(0, PAGE_BYTES);
          linkSync(probe, twin);
          if (this.gid !== undefined) file.setGroup(this.gid);
        } finally {
          file.close();
        }
      });
    } finally {
      try {
        clear();
      } catch {
        // What could not be made need not be cleared away.
      }
    }
    this.#checkOthers();
  }

  /** Why no pool could be made there now; undefined when that can be expected. Costs two system calls. */
  trouble(): Problem | undefined {
    try {
      if (!statSync(this.#path).isDirectory()) throw systemError("EEXIST");
      accessSync(this.#path, constants.W_OK | constants.X_OK);
      return undefined;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return { message: `${this.#path} was removed`, hint: "make it again" };
      return { message: this.#sentence(error), hint: MEND };
    }
  }

  #attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      const { code, syscall } = error as NodeJS.ErrnoException;
      if (code === "ENOSPC" || code === "EDQUOT") return;
      if (code === "EPERM" && syscall === "fchown") throw this.#notOfGroup();
      throw new PlaceError(this.#sentence(error), ELSEWHERE);
    }
  }

  #sentence(error: unknown): string {
    const { code, message } = error as NodeJS.ErrnoException;
    return `no pools can be kept in ${this.#path}: ${REASONS[code ?? ""] ?? message}`;
  }

  #notOfGroup(): PlaceError {
    return new PlaceError(
      `this user may not give pools to the group ${this.gid}`,
      "name a group by --group that the agent's user is a member of",
    );
  }

  /** Of two agents in one directory, the second would not get the pools that the first one has. */
  #checkOthers(): void {
    const path = poolPath(AGENT_APP, this.poolDir);
    const [user = 0] = ownUids();
    // In /dev/shm agents of several users get along, and what strangers put somewhere says nothing of agents.
    const uids = this.poolDir === undefined ? [user] : ownUids();
    let file: SharedFile;
    try {
      file = openOwned(path, false, { uids });
    } catch {
      return;
    }
    try {
      if (!file.locked(0, PAGE_BYTES)) return;
      throw new PlaceError(
        `another agent, with pid ${keeperOf(file)}, keeps the pools in ${this.#path}`,
        "stop it first, or give this one another --pool-dir",
      );
    } finally {
      file.close();
    }
  }
}

/** The pid in a pool's header. */
function keeperOf(pool: SharedFile): number | string {
  const head = pool.head(HEADER.agentPid + 4);
  if (head.length < HEADER.agentPid + 4) return "unknown";
  return new DataView(head.buffer).getUint32(HEADER.agentPid, true);
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}
