// DuckDB's native part out of the compiled binary. `scripts/build.ts` puts this file in the place of the package
// `@duckdb/node-bindings`, and packs the two files; nothing else imports it, for from sources they may not be there.
// Both are loaded from memory: nothing is left on disk, and a noexec /tmp does not matter.

import { dlopen } from "bun:ffi";
import { readFileSync } from "node:fs";
import { MemoryFile } from "../ffi/index.ts";
import { givenLibraries } from "./libraries.ts";
import { PACKED } from "./packed.ts";

/** The functions of `@duckdb/node-bindings`. */
export default load();

function load(): unknown {
  const given = givenLibraries();
  const fromMemory = (part: "library" | "addon", use: (fd: number) => void): void => {
    if (given !== undefined) return use(given[part]);
    const file = MemoryFile.create("microview-duckdb");
    try {
      file.write(Bun.zstdDecompressSync(readFileSync(PACKED[part])));
      use(file.fd);
    } finally {
      file.close();
    }
  };
  // A descriptor's number is used again, and the loader takes a path that it knows for what it has loaded from there:
  // each library has a spelling of its own. The addon needs libduckdb.so: the loader takes the one that is loaded under this name already.
  fromMemory("library", (fd) => {
    dlopen(`/proc/self/./fd/${fd}`, { duckdb_library_version: { args: [], returns: "ptr" } });
  });
  const module = { exports: {} };
  fromMemory("addon", (fd) => process.dlopen(module, `/proc/self/././fd/${fd}`));
  return module.exports;
}
