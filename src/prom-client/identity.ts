// Under which application and service a process shares its metrics when nobody says.

import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";

const DEFAULT_APP = "default";

/** MICROVIEW_APP, or "default". */
export function defaultApp(): string {
  return process.env["MICROVIEW_APP"] || DEFAULT_APP;
}

/** MICROVIEW_SERVICE, or the name in the package.json nearest to the program, or the program's own. */
export function defaultService(): string {
  return process.env["MICROVIEW_SERVICE"] || packageName(Bun.main) || programName(Bun.main);
}

function packageName(program: string): string | undefined {
  for (let folder = dirname(program); ; folder = dirname(folder)) {
    const path = join(folder, "package.json");
    if (existsSync(path)) {
      try {
        const { name } = JSON.parse(readFileSync(path, "utf8"));
        return typeof name === "string" ? name : undefined;
      } catch {
        return undefined;
      }
    }
    if (folder === dirname(folder)) return undefined;
  }
}

function programName(program: string): string {
  return basename(program, extname(program)) || "unnamed";
}
