// What was asked before, in a file that its user alone can read: SQL may have names and numbers that are nobody else's.

import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const STATEMENTS_MAX = 1_000;
const OWNER_ONLY = 0o600;

type Environment = Readonly<Record<string, string | undefined>>;

/** Where a user's history is; undefined for a user without a home. */
export function historyPath(env: Environment): string | undefined {
  const home = env["HOME"] ?? "";
  const state = env["XDG_STATE_HOME"] ?? "";
  if (!state.startsWith("/") && home === "") return undefined;
  const folder = state.startsWith("/") ? state : join(home, ".local/state");
  return join(folder, "microview/query-history");
}

/** A history that cannot be read or written is done without. */
export class History {
  constructor(readonly path: string | undefined) {}

  /** Statements, the newest first. */
  load(): string[] {
    if (this.path === undefined) return [];
    try {
      const lines = readFileSync(this.path, "utf8").split("\n").filter(Boolean);
      chmodSync(this.path, OWNER_ONLY);
      const kept = lines.slice(-STATEMENTS_MAX);
      if (lines.length > 2 * STATEMENTS_MAX) {
        writeFileSync(this.path, kept.map((line) => `${line}\n`).join(""));
      }
      return kept.reverse();
    } catch {
      return [];
    }
  }

  /** @param statement in one line */
  add(statement: string): void {
    if (this.path === undefined) return;
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      appendFileSync(this.path, `${statement}\n`, { mode: OWNER_ONLY });
    } catch {
      // A read-only home: the questions are answered all the same.
    }
  }
}
