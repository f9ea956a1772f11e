// Which pools a host has: by the names of files, without opening them.

import { lstatSync, readdirSync } from "node:fs";
import { appOfShmFile, checkAppName, poolPath, SHM_DIR } from "../layout/index.ts";

/** A file whose name says that it is a pool, or was one. */
export interface FoundFile {
  app: string;
  path: string;
  /** `set-aside`: an agent could not use it and gave it this name. */
  kind: "pool" | "set-aside";
}

const POOL_FILE = "pool";
// What an agent appends to the name of a pool that is not finished, or that it has set aside.
const DRAFT = /\.new-\d+$/;
const SET_ASIDE = /\.damaged-[^/]*$/;

/**
 * Pools in the order of their names: `/dev/shm/microview.<app>`, or `DIR/<app>/pool` below a pool directory.
 * @throws Error ENOENT, EACCES when the directory cannot be listed
 */
export function findPools(poolDir?: string): FoundFile[] {
  const found = poolDir === undefined ? findInShm() : findBelow(poolDir);
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function findInShm(): FoundFile[] {
  return readdirSync(SHM_DIR).flatMap((name): FoundFile[] => {
    const app = appOfShmFile(name);
    if (app === undefined || DRAFT.test(app)) return [];
    const path = `${SHM_DIR}/${name}`;
    if (SET_ASIDE.test(app)) return [{ app: app.replace(SET_ASIDE, ""), path, kind: "set-aside" }];
    return isAppName(app) ? [{ app, path, kind: "pool" }] : [];
  });
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

function isAppName(name: string): boolean {
  try {
    checkAppName(name);
    return true;
  } catch {
    return false;
  }
}
