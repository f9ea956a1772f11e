// DuckDB's native parts, unpacked once for several processes: that takes longer than all else of starting one. Whoever
// starts processes hands them over, and each maps the same memory. Only the compiled program has them packed.

import { readFileSync } from "node:fs";
import { MemoryFile } from "../ffi/index.ts";

/** Descriptors of files in memory. */
export interface Libraries {
  readonly library: number;
  readonly addon: number;
}

let unpacked: Promise<Libraries> | undefined;

/** Files that nobody can change any more; undefined from sources, where they lie in files anyway. */
export function unpackLibraries(): Promise<Libraries> | undefined {
  if (import.meta.url.includes("/$bunfs/")) unpacked ??= unpack();
  return unpacked;
}

async function unpack(): Promise<Libraries> {
  const { PACKED } = await import("./packed.ts");
  const open = async (path: string): Promise<number> => {
    const bytes = await Bun.zstdDecompress(readFileSync(path));
    const file = MemoryFile.create("microview-duckdb");
    file.write(bytes);
    file.seal();
    return file.fd;
  };
  return { library: await open(PACKED.library), addon: await open(PACKED.addon) };
}

let given: Libraries | undefined;

/** Loads DuckDB from these when it is needed. Called before it is. */
export function useLibraries(libraries: Libraries): void {
  given = libraries;
}

/** What another process has handed over. */
export function givenLibraries(): Libraries | undefined {
  return given;
}
