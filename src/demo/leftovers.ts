// A demo's folder in shared memory, and the removal of those whose demo was killed.

import { lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isServed } from "../agent/index.ts";

/** Beginning of a demo's folder's name. */
export const DEMO_PREFIX = "microview-demo-";
/** The agent's socket in it. */
export const DEMO_SOCKET = "agent.sock";

/** A folder without an agent may belong to a demo that is beginning, but not after so long. */
const BEGINNING_MS = 60_000;

/**
 * Removes folders of demos that have ended without doing so themselves. That a demo lives is told by its agent's lock,
 * which holds over pid namespaces too; other users' folders are left to them.
 * @returns what was removed
 */
export function removeLeftovers(directory: string): string[] {
  return namesIn(directory)
    .filter((name) => name.startsWith(DEMO_PREFIX))
    .map((name) => join(directory, name))
    .filter((folder) => isLeft(folder) && remove(folder));
}

function isLeft(folder: string): boolean {
  const stat = lstatSync(folder, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true || stat.uid !== process.getuid?.()) return false;
  const served = isServed(join(folder, DEMO_SOCKET));
  return served === undefined ? Date.now() - stat.mtimeMs > BEGINNING_MS : !served;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Not being able to is no reason not to begin. */
function remove(folder: string): boolean {
  try {
    rmSync(folder, { recursive: true, force: true });
    return true;
  } catch {
    return false;
  }
}
