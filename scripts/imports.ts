// Reads who imports whom among our files. For scripts/draw-architecture.ts and tests/architecture.test.ts.

import { readdirSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { ROOT } from "./root.ts";

export interface Import {
  /** Path of the importing file from the root, e.g. `src/agent/index.ts`. */
  readonly file: string;
  readonly specifier: string;
}

/** An import of one room of `src/` by another. */
export interface Arrow extends Import {
  readonly from: string;
  readonly to: string;
  /** Path of the imported file from the root. */
  readonly target: string;
}

const transpiler = new Bun.Transpiler({ loader: "ts" });

/** Imports of values and of types: the transpiler drops the latter, so statements are read too. */
export function specifiers(source: string): string[] {
  const statements = source.matchAll(
    /^\s*(?:import\s*|(?:import|export)\b[^"'`;=]*?\bfrom\s*)["']([^"'\n]+)["']/gm,
  );
  const dynamic = source.matchAll(/\b(?:import|require)\(\s*["'`]([^"'`\n]+)["'`]/g);
  const scanned = transpiler.scanImports(source).map(({ path }) => path);
  return [...new Set([...scanned, ...[...statements, ...dynamic].map((match) => match[1]!)])];
}

/** @param directory from the root */
export async function importsOf(directory: string): Promise<Import[]> {
  const imports: Import[] = [];
  for (const name of [...new Bun.Glob("**/*.{ts,tsx}").scanSync(join(ROOT, directory))].sort()) {
    const file = join(directory, name);
    const source = (await Bun.file(join(ROOT, file)).text()).replace(/^#!.*/, "");
    for (const specifier of specifiers(source)) imports.push({ file, specifier });
  }
  return imports;
}

/** All that lies directly in `src/`: rooms, and the program's file. */
export function roomsInSrc(): string[] {
  return readdirSync(join(ROOT, "src")).sort();
}

/** The room of a path below `src/`: its folder, or the file itself. */
export function roomOf(path: string): string {
  return path.split("/")[1] ?? "";
}

export function arrowsAmong(imports: readonly Import[]): Arrow[] {
  return imports
    .filter(({ specifier }) => specifier.startsWith("."))
    .map(({ file, specifier }) => {
      const target = relative(ROOT, normalize(join(ROOT, dirname(file), specifier)));
      return { file, specifier, target, from: roomOf(file), to: roomOf(target) };
    })
    .filter(({ target, from, to }) => target.startsWith("src/") && from !== to);
}

/** Who imports whom among the files of `src/`, by their paths from the root. */
export function arrowsAmongFiles(imports: readonly Import[]): Pick<Arrow, "from" | "to">[] {
  return imports
    .filter(({ specifier }) => specifier.startsWith("."))
    .map(({ file, specifier }) => ({ from: file, to: join(dirname(file), specifier) }))
    .filter(({ to }) => /^src\/.*\.tsx?$/.test(to));
}

/**
 * The same among what lies directly in each folder: its files, and its folders with all that is in them.
 * @returns by folder
 */
export function arrowsByFolder(
  files: readonly Pick<Arrow, "from" | "to">[],
): Map<string, Pick<Arrow, "from" | "to">[]> {
  const folders = new Map<string, Pick<Arrow, "from" | "to">[]>();
  for (const arrow of files) {
    const from = arrow.from.split("/");
    const to = arrow.to.split("/");
    const depth = from.findIndex((part, i) => part !== to[i]);
    if (depth < 0) continue;
    const folder = from.slice(0, depth).join("/");
    const known = folders.get(folder) ?? [];
    known.push({ from: from[depth]!, to: to[depth]! });
    folders.set(folder, known);
  }
  return folders;
}
