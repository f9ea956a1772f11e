/// <reference path="./native.d.ts" />
// DuckDB's native part out of the compiled binary. `scripts/build.ts` puts this file in the place of the package
// `@duckdb/node-bindings`, and packs the two files; nothing else imports it, for from sources they may not be there.
// Both are loaded from memory: nothing is left on disk, and a noexec /tmp does not matter.

import { dlopen } from "bun:ffi";
import { readFileSync } from "node:fs";
import addonPath from "../../build/duckdb/duckdb.node.zst" with { type: "file" };
import libraryPath from "../../build/duckdb/libduckdb.so.zst" with { type: "file" };
import { MemoryFile } from "../ffi/index.ts";

/** The functions of `@duckdb/node-bindings`. */
export default load();

function load(): unknown {
  const fromMemory = (packed: string, folder: string, use: (path: string) => void): void => {
    const file = MemoryFile.create("microview-duckdb");
    try {
      file.write(Bun.zstdDecompressSync(readFileSync(packed)));
      use(`${folder}/${file.fd}`);
    } finally {
      file.close();
    }
  };
  // A descriptor's number is used again, and the loader takes a path that it knows for what it has loaded from there:
  // each library has a spelling of its own. The addon needs libduckdb.so: the loader takes the one that is loaded under this name already.
  fromMemory(libraryPath, "/proc/self/./fd", (file) => {
    dlopen(file, { duckdb_library_version: { args: [], returns: "ptr" } });
  });
  const module = { exports: {} };
  fromMemory(addonPath, "/proc/self/././fd", (file) => process.dlopen(module, file));
  return module.exports;
}
