// Which pools a host has: by the names of files, without opening them.

import { lstatSync, readdirSync } from "node:fs";
import { type Owners, ownerOfSocket, ownUids } from "../ffi/index.ts";
import {
  appOfShmFile,
  defaultSocketPath,
  isAppName,
  poolPath,
  poolsNamed,
  SHM_DIR,
} from "../layout/index.ts";

/** A file whose name says that it is a pool, or was one. */
export interface FoundFile {
  app: string;
  path: string;
  /** `set-aside`: an agent could not use it and gave it this name. */
  kind: "pool" | "set-aside";
}

const POOL_FILE = "pool";
// What an agent appends to the name of a pool that it has set aside.
const SET_ASIDE = /\.damaged-[^/]*$/;

/**
 * Pools in the order of their names: `/dev/shm/microview.<app>`, or `DIR/<app>/pool` below a pool directory.
 * @throws Error ENOENT, EACCES when the directory cannot be listed
 */
export function findPools(poolDir?: string): FoundFile[] {
  const found = poolDir === undefined ? findInShm() : findBelow(poolDir);
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Whose pools are read: this user's, root's, and those of the user whose agent serves the socket.
 * @param socketPath default as services have it
 */
export function readersOwners(
  poolDir?: string,
  socketPath = defaultSocketPath(process.env, process.getuid?.()),
): Owners {
  return {
    uids: ownUids(ownerOfSocket(socketPath)),
    ...(poolDir === undefined ? {} : { folder: poolDir }),
  };
}

function findInShm(): FoundFile[] {
  const names = readdirSync(SHM_DIR);
  const pools = poolsNamed(names).map((pool): FoundFile => ({ ...pool, kind: "pool" }));
  const setAside = names.flatMap((name): FoundFile[] => {
    const app = SET_ASIDE.test(name) ? appOfShmFile(name.replace(SET_ASIDE, "")) : undefined;
    return app === undefined ? [] : [{ app, path: `${SHM_DIR}/${name}`, kind: "set-aside" }];
  });
  return [...pools, ...setAside];
}

function findBelow(poolDir: string): FoundFile[] {
  return readdirSync(poolDir, { withFileTypes: true }).flatMap((entry) => {
    const app = entry.name;
    if (!entry.isDirectory() || !isAppName(app)) return [];
    return namesIn(`${poolDir}/${app}`).flatMap((name): FoundFile[] => {
      if (name === POOL_FILE) return [{ app, path: poolPath(app, poolDir), kind: "pool" }];
      if (!name.startsWith(`${POOL_FILE}.`) || !SET_ASIDE.test(name)) return [];
      return [{ app, path: `${poolDir}/${app}/${name}`, kind: "set-aside" }];
    });
  });
}

/** An application's folder that others may not list may still have a pool that they may open. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    const pool = lstatSync(`${folder}/${POOL_FILE}`, { throwIfNoEntry: false });
    return pool === undefined ? [] : [POOL_FILE];
  }
}
