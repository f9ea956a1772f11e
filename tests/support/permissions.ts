// What the user of the tests may do on this host; what needs more is skipped, visibly.

import { mkdtempSync, rmSync } from "node:fs";
import { CLI } from "./host.ts";

/** A user who owns nothing here. */
const NOBODY = 65_534;

function succeeds(...command: string[]): boolean {
  try {
    return Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore" }).success;
  } catch {
    return false;
  }
}

/** Runs a command as somebody without rights; undefined when that cannot be had here. */
export const asNobody: readonly string[] | undefined = (() => {
  if (process.getuid?.() !== 0) return [];
  const wrapper = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  const canRun = succeeds(...wrapper, process.execPath, "--version");
  return canRun && succeeds(...wrapper, "test", "-r", CLI) ? wrapper : undefined;
})();

/** The user that {@link asNobody} runs as. */
export const nobodyUid = process.getuid?.() === 0 ? NOBODY : (process.getuid?.() ?? NOBODY);

/** Mounts a tmpfs; undefined when that is not allowed here. Unmount it in the end. */
export function mountTmpfs(options: string): { path: string; unmount(): void } | undefined {
  const path = mkdtempSync("/tmp/microview-mount-");
  if (!succeeds("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)) {
    rmSync(path, { recursive: true });
    return undefined;
  }
  return {
    path,
    unmount() {
      Bun.spawnSync(["umount", "-l", path]);
      rmSync(path, { recursive: true });
    },
  };
}

/** Whether {@link mountTmpfs} works here. */
export const canMount: boolean = (() => {
  const mount = process.getuid?.() === 0 ? mountTmpfs("size=1m") : undefined;
  mount?.unmount();
  return mount !== undefined;
})();
