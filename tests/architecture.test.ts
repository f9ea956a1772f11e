// Holds the arrows between the rooms of `src/`: who may import whom, and through which door.

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";

const ROOT = normalize(`${import.meta.dir}/..`);

/** Rooms that a room may import besides itself. `*` stands for all of them. */
const MAY_IMPORT: Readonly<Record<string, readonly string[] | "*">> = {
  layout: [],
  ffi: ["layout"],
  http: [],
  client: ["layout", "ffi"],
  "prom-client": ["layout", "client"],
  opentelemetry: ["layout", "client"],
  frameworks: ["client"],
  identity: ["layout", "http"],
  guard: ["layout", "ffi", "http"],
  agent: ["layout", "ffi", "http", "exposition", "identity", "guard"],
  collector: ["layout", "ffi", "http"],
  exposition: ["layout"],
  sinks: ["layout", "exposition"],
  export: ["layout", "ffi", "http"],
  duckdb: [],
  recording: ["layout", "ffi", "sinks", "duckdb"],
  inspector: ["layout", "ffi", "http", "identity"],
  commands: "*",
  "cli.ts": ["commands"],
};

interface Import {
  /** Path of the importing file from the root, e.g. `src/agent/index.ts`. */
  readonly file: string;
  readonly specifier: string;
}

interface Arrow extends Import {
  readonly from: string;
  readonly to: string;
  readonly target: string;
}

const transpiler = new Bun.Transpiler({ loader: "ts" });

/** Imports of values and of types: the transpiler drops the latter, so statements are read too. */
function specifiers(source: string): string[] {
  const statements = source.matchAll(
    /^\s*(?:import\s*|(?:import|export)\b[^"'`;=]*?\bfrom\s*)["']([^"'\n]+)["']/gm,
  );
  const dynamic = source.matchAll(/\b(?:import|require)\(\s*["'`]([^"'`\n]+)["'`]/g);
  const scanned = transpiler.scanImports(source).map(({ path }) => path);
  return [...new Set([...scanned, ...[...statements, ...dynamic].map((match) => match[1]!)])];
}

async function importsOf(directory: string): Promise<Import[]> {
  const imports: Import[] = [];
  for (const name of [...new Bun.Glob("**/*.{ts,tsx}").scanSync(join(ROOT, directory))].sort()) {
    const file = join(directory, name);
    const source = (await Bun.file(join(ROOT, file)).text()).replace(/^#!.*/, "");
    for (const specifier of specifiers(source)) imports.push({ file, specifier });
  }
  return imports;
}

/** The room of a path below `src/`: its folder, or the file itself. */
function roomOf(path: string): string {
  return path.split("/")[1] ?? "";
}

function arrowsAmong(imports: readonly Import[]): Arrow[] {
  return imports
    .filter(({ specifier }) => specifier.startsWith("."))
    .map(({ file, specifier }) => {
      const target = relative(ROOT, normalize(join(ROOT, dirname(file), specifier)));
      return { file, specifier, target, from: roomOf(file), to: roomOf(target) };
    })
    .filter(({ target, from, to }) => target.startsWith("src/") && from !== to);
}

function show(arrows: readonly Import[]): string[] {
  return arrows.map(({ file, specifier }) => `${file} imports ${specifier}`);
}

const imports = await importsOf("src");
const arrows = arrowsAmong(imports);

describe("the rooms of src/", () => {
  test("import only what their place in the house allows", () => {
    const wrong = arrows.filter(({ from, to }) => {
      const allowed = MAY_IMPORT[from] ?? [];
      return allowed !== "*" && !allowed.includes(to);
    });
    expect(show(wrong)).toEqual([]);
  });

  test("enter each other through index.ts, and commands, for the program itself, through main.ts and streams.ts too", () => {
    const wrong = arrows.filter(({ from, to, target }) => {
      const ofProgram = ["src/commands/main.ts", "src/commands/support/streams.ts"];
      const doors = [`src/${to}/index.ts`, ...(from === "cli.ts" ? ofProgram : [])];
      return !doors.includes(target);
    });
    expect(show(wrong)).toEqual([]);
  });

  test("have an index.ts that names, one by one, what they offer", async () => {
    const rooms = new Set(
      imports.map(({ file }) => roomOf(file)).filter((room) => !/\./.test(room)),
    );
    const doorless = [...rooms].filter((room) => !existsSync(join(ROOT, `src/${room}/index.ts`)));
    expect(doorless).toEqual([]);
    const sweeping: string[] = [];
    for (const name of new Bun.Glob("src/**/*.ts").scanSync(ROOT)) {
      const source = await Bun.file(join(ROOT, name)).text();
      if (/^\s*export\s*(?:type\s*)?\*/m.test(source)) sweeping.push(name);
    }
    expect(sweeping).toEqual([]);
  });

  test("are all named in this test", () => {
    const rooms = new Set(imports.map(({ file }) => roomOf(file)));
    expect([...rooms].filter((room) => !Object.hasOwn(MAY_IMPORT, room))).toEqual([]);
  });

  test("leave I/O out of the layout", () => {
    const packages = imports.filter(
      ({ file, specifier }) => file.startsWith("src/layout/") && !specifier.startsWith("."),
    );
    expect(show(packages)).toEqual([]);
  });

  test("leave the runtime out of the layout, so that a browser can load it", async () => {
    for (const { file } of imports.filter(({ file }) => file.startsWith("src/layout/"))) {
      const code = transpiler.transformSync(await Bun.file(join(ROOT, file)).text());
      expect([file, /\b(?:Bun|Buffer|process|require)\b[.(]/.exec(code)?.[0]]).toEqual([
        file,
        undefined,
      ]);
    }
  });

  test("import only packages that are dependencies", async () => {
    const { dependencies, peerDependencies } = await Bun.file(join(ROOT, "package.json")).json();
    const known = Object.keys({ ...dependencies, ...peerDependencies });
    const wrong = imports.filter(({ specifier }) => {
      if (/^(\.|node:|bun(:|$))/.test(specifier)) return false;
      return !known.some((name) => specifier === name || specifier.startsWith(`${name}/`));
    });
    expect(show(wrong)).toEqual([]);
  });

  test("take of peers their types alone, so that nothing of theirs is loaded unless it is asked for", async () => {
    const { peerDependencies } = await Bun.file(join(ROOT, "package.json")).json();
    const peers = Object.keys(peerDependencies);
    const files = imports.filter(({ specifier }) => peers.includes(specifier));
    expect(files).not.toEqual([]);
    for (const { file, specifier } of files) {
      const source = await Bun.file(join(ROOT, file)).text();
      const loaded = transpiler
        .scanImports(source)
        .filter(({ kind }) => kind !== "dynamic-import")
        .map(({ path }) => path);
      if (loaded.includes(specifier)) throw new Error(`${file} loads ${specifier}`);
    }
  });

  test("name the file they import with its extension, relative to themselves", () => {
    const wrong = imports.filter(({ specifier }) => {
      return specifier.startsWith("/") || (specifier.startsWith(".") && !/\.\w+$/.test(specifier));
    });
    expect(show(wrong)).toEqual([]);
  });
});

describe("the scanner of this test", () => {
  test("sees imports of values, of types, for effect, dynamic, and exports", () => {
    const source = [
      `import { a } from "./a.ts";`,
      `import type { B } from "./b.ts";`,
      `import "./c.ts";`,
      `import {\n  d,\n  type D,\n} from "./d.ts";`,
      `export * from "./e.ts";`,
      `export type { F } from "./f.ts";`,
      `const g = await import("./g.ts");`,
      `type H = import("./h.ts").H;`,
      `export const DIRECTORY = "./no-import";`,
    ].join("\n");
    expect(specifiers(source).sort()).toEqual(
      ["a", "b", "c", "d", "e", "f", "g", "h"].map((name) => `./${name}.ts`),
    );
  });
});
