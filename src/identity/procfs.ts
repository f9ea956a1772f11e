// Files of /proc, whose processes may go at any moment.

import { readdirSync, readFileSync } from "node:fs";

/** A file's text; nothing, when the process has gone or may not be looked at. */
export function readProc(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Names in a folder; none, likewise. */
export function listProc(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
