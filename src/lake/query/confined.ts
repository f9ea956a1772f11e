// Starts the process of a query with as few rights as it can do with: what it may read is this program and the lake's
// folder. Landlock holds for what a thread starts later, and by now there are many: so the program confines itself and
// executes itself again. Called by the subcommand `query-process`.

import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { confine, executeInPlace } from "../../ffi/index.ts";

/** What programs need of the system: libraries, what the kernel tells about the machine, and chance. */
const SYSTEM = [
  ...["/usr", "/lib", "/lib64", "/nix/store", "/etc/ld.so.cache", "/etc/ld.so.preload"],
  ...["/etc/ld-musl-x86_64.path", "/proc", "/sys/fs/cgroup", "/sys/devices/system"],
  ...["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"],
];

/**
 * Begins again with what is left of its rights.
 * @param folder of the lake
 * @param args of this program
 * @param descriptors how many it keeps, from standard input on
 * @param main of its sources, when it is not compiled
 */
export function beginConfined(
  folder: string,
  args: readonly string[],
  descriptors: number,
  main = new URL("../../cli.ts", import.meta.url).pathname,
): never {
  const isCompiled = import.meta.url.includes("/$bunfs/");
  const program = realpathSync(process.execPath);
  confine([...SYSTEM, program, ...(isCompiled ? [] : sources()), folder]);
  executeInPlace(program, isCompiled ? args : [main, ...args], descriptors);
}

/** The folder of the sources, and where their packages are. */
function sources(): string[] {
  const root = new URL("../../../", import.meta.url).pathname;
  const found = ["@duckdb/node-api", "citty", "@uwdata/flechette"].map((name) =>
    packagesOf(Bun.resolveSync(name, root)),
  );
  return [root, ...new Set(found)];
}

/** The outermost `node_modules` that a file is in. */
function packagesOf(file: string): string {
  const path = realpathSync(file);
  const at = path.indexOf("/node_modules/");
  return at < 0 ? dirname(path) : path.slice(0, at + "/node_modules".length);
}
