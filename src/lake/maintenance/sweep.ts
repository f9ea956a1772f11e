// Removes files of views that nobody knows: their thread or the lake was killed before the catalogue heard of them.

import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Catalogue } from "../catalogue/index.ts";
import { UNFINISHED, VIEWS } from "../views/index.ts";

/** Removes what was being written. Nothing may be under way. */
export async function removeUnfinished(dir: string): Promise<void> {
  await rm(join(dir, VIEWS, UNFINISHED), { recursive: true, force: true });
}

/**
 * @param dir the lake's folder
 * @param ageMs younger files may be such of which the catalogue is just being told
 * @returns how many there were
 */
export async function sweepFiles(
  dir: string,
  catalogue: Catalogue,
  ageMs: number,
): Promise<number> {
  const found = await filesBelow(join(dir, VIEWS));
  // Asked afterwards: what has come meanwhile is known then.
  const known = await catalogue.partitionFiles();
  let removed = 0;
  for (const name of found) {
    if (name.startsWith(".") || known.has(`${VIEWS}/${name}`)) continue;
    const path = join(dir, VIEWS, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (mtimeMs > Date.now() - ageMs) continue;
    await rm(path, { force: true });
    removed++;
  }
  return removed;
}

async function filesBelow(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(dir.length + 1));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
