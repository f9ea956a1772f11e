// How many files this process may open.

import { readFileSync } from "node:fs";

/** Where file numbers are tried one by one, higher ones are left out. */
export const MAX_TRIED = 1 << 20;

export function openFilesMax(): number {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return Number(soft ?? MAX_TRIED);
}
