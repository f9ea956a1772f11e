// Holds the arrows between the rooms of `src/`: who may import whom, and through which door.

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  architecturePage,
  flowchart,
  layersOf,
  purposeOf,
  redrawn,
  roomsOf,
} from "../scripts/draw-architecture.ts";
import {
  type Arrow,
  arrowsAmong,
  arrowsAmongFiles,
  arrowsByFolder,
  type Import,
  importsOf,
  roomOf,
  roomsInSrc,
  specifiers,
} from "../scripts/imports.ts";
import { ROOT } from "../scripts/root.ts";

/** Rooms that a room may import besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  layout: [],
  calling: [],
  text: [],
  protobuf: [],
  ffi: ["layout"],
  settings: [],
  http: ["settings"],
  rest: ["layout", "calling"],
  client: ["layout", "ffi", "rest", "calling"],
  "prom-client": ["layout", "client", "rest"],
  opentelemetry: ["layout", "client", "rest", "text"],
  pino: ["layout", "client"],
  frameworks: ["client"],
  identity: ["layout", "http", "calling", "settings"],
  guard: ["layout", "ffi", "http", "rest", "calling", "text", "settings"],
  agent: [
    ...["layout", "text", "ffi", "exposition", "identity", "guard", "rest", "sinks", "settings"],
    ...["calling", "events"],
  ],
  collector: ["layout", "text", "ffi", "http", "guard", "rest", "calling", "settings"],
  exposition: ["layout", "text"],
  sinks: [
    ...["layout", "text", "ffi", "http", "exposition", "guard", "duckdb", "calling", "settings"],
    "protobuf",
  ],
  duckdb: ["ffi"],
  inspector: ["layout", "text", "ffi", "identity", "exposition"],
  doctor: ["layout", "text", "ffi", "http", "calling", "inspector"],
  events: ["layout", "ffi", "text", "identity", "sinks"],
  lake: ["layout", "text", "duckdb", "ffi", "guard", "exposition"],
  explore: ["text", "calling", "http", "settings", "protobuf"],
  demo: ["layout", "http", "client", "agent", "guard", "lake"],
  "command-line": ["text", "calling"],
  commands: [
    ...["layout", "text", "ffi", "http", "identity", "agent", "collector", "inspector"],
    ...[
      "guard",
      "exposition",
      "sinks",
      "command-line",
      "demo",
      "calling",
      "doctor",
      "settings",
      "events",
      "explore",
      "lake",
    ],
  ],
  "cli.ts": ["command-line", "commands"],
};

const transpiler = new Bun.Transpiler({ loader: "ts" });

function show(arrows: readonly Import[]): string[] {
  return arrows.map(({ file, specifier }) => `${file} imports ${specifier}`);
}

/** The circle among those that import each other, if there is one. */
function circleOf(arrows: readonly Pick<Arrow, "from" | "to">[]): string | undefined {
  try {
    layersOf(
      roomsOf(
        arrows.flatMap(({ from, to }) => [from, to]),
        arrows.filter(({ from, to }) => from !== to),
      ),
    );
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
}

const imports = await importsOf("src");
const arrows = arrowsAmong(imports);

describe("the rooms of src/", () => {
  test("import only what their place in the house allows", () => {
    const wrong = arrows.filter(({ from, to }) => !MAY_IMPORT[from]?.includes(to));
    expect(show(wrong)).toEqual([]);
  });

  test("are allowed no import that none of them has", () => {
    const has = new Set(arrows.map(({ from, to }) => `${from} → ${to}`));
    const allowed = Object.entries(MAY_IMPORT).flatMap(([from, rooms]) =>
      rooms.map((to) => `${from} → ${to}`),
    );
    expect(allowed.filter((arrow) => !has.has(arrow))).toEqual([]);
  });

  test("of client, agent and collector do not know each other, and only the demo and commands bring them together", () => {
    const apart = ["client", "agent", "collector"];
    const togetherIn = Object.entries(MAY_IMPORT)
      .filter(([room, rooms]) => [room, ...rooms].filter((each) => apart.includes(each)).length > 1)
      .map(([room]) => room);
    expect(togetherIn.sort()).toEqual(["commands", "demo"]);
  });

  test("enter each other through index.ts, a sink through its own, and commands, for the program itself, through main.ts and streams.ts too", () => {
    const wrong = arrows.filter(({ from, to, target }) => {
      const ofProgram = ["src/commands/main.ts", "src/command-line/streams.ts"];
      const doors = [`src/${to}/index.ts`, ...(from === "cli.ts" ? ofProgram : [])];
      // A sink and what it needs are loaded only where it is asked for.
      const isSinks = /^src\/sinks\/[a-z-]+\/index\.ts$/.test(target);
      return !isSinks && !doors.includes(target);
    });
    expect(show(wrong)).toEqual([]);
  });

  test("do not go through their own door, which would load all of the room", () => {
    // Commands are loaded by the index, and a preload has all of what it stands for.
    const allowed = [
      "src/commands/completion.ts",
      "src/commands/main.ts",
      "src/prom-client/preload.ts",
    ];
    const wrong = imports.filter(({ file, specifier }) => {
      if (!specifier.startsWith(".") || allowed.includes(file)) return false;
      const target = join(dirname(file), specifier);
      const isSinks = /^src\/sinks\/[a-z-]+\/index\.ts$/.test(target);
      const doors = [`src/${roomOf(file)}/index.ts`, ...(isSinks ? [target] : [])];
      return doors.includes(target) && file.startsWith(`${dirname(target)}/`);
    });
    expect(show(wrong)).toEqual([]);
  });

  test("do not import each other in a circle", () => {
    layersOf(roomsOf(Object.keys(MAY_IMPORT), arrows));
  });

  test("have no folder, and no file beside it, that import each other in a circle", () => {
    for (const [folder, within] of arrowsByFolder(arrowsAmongFiles(imports))) {
      expect([folder, circleOf(within)]).toEqual([folder, undefined]);
    }
  });

  test("have no files that import each other in a circle, be it for types alone", () => {
    expect(circleOf(arrowsAmongFiles(imports))).toBeUndefined();
  });

  test("are drawn in docs/architecture.md as they are", async () => {
    const { is, ought } = await architecturePage();
    if (is !== ought) {
      throw new Error(
        "docs/architecture.md shows other rooms or arrows than src/ has: run `bun scripts/draw-architecture.ts`",
      );
    }
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

  test("keep servers out of commands, which only says what is served", async () => {
    const serving = /\bBun\.(?:serve|listen)\b|\bcreate(?:Secure)?Server\b/;
    const wrong: string[] = [];
    for (const name of new Bun.Glob("src/commands/**/*.ts").scanSync(ROOT)) {
      if (serving.test(await Bun.file(join(ROOT, name)).text())) wrong.push(name);
    }
    expect(wrong).toEqual([]);
  });

  test("have commands that only parse, call a room and print: under 275 lines each on average", async () => {
    const index = await Bun.file(join(ROOT, "src/commands/index.ts")).text();
    const subcommands = index.match(/import\("\.\/[a-z-]+\.ts"\)/g) ?? [];
    expect(subcommands.length).toBeGreaterThan(8);
    let lines = 0;
    for (const name of new Bun.Glob("src/commands/**/*.ts").scanSync(ROOT)) {
      lines += (await Bun.file(join(ROOT, name)).text()).split("\n").length - 1;
    }
    // What they share is counted as one more.
    expect(lines).toBeLessThan(275 * (subcommands.length + 6));
  });

  test("are all named in this test, also those that nobody imports and that import nothing", () => {
    expect(roomsInSrc().sort()).toEqual(Object.keys(MAY_IMPORT).sort());
  });

  test("have tests in a folder of the same name", () => {
    const folders = roomsInSrc().filter((room) => !room.includes("."));
    expect(folders.filter((room) => !existsSync(join(ROOT, "tests", room)))).toEqual([]);
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

  test("take of the REST contracts their types alone, except for the agent, which checks by them", async () => {
    const loading: string[] = [];
    for (const { file, from, to, specifier } of arrows) {
      if (to !== "rest" || from === "agent") continue;
      const loaded = transpiler.scanImports(await Bun.file(join(ROOT, file)).text());
      if (loaded.some(({ path }) => path === specifier)) loading.push(file);
    }
    expect(loading).toEqual([]);
  });

  test("take of sinks, where the agent reports what they have pushed, the types alone", async () => {
    const loading: string[] = [];
    for (const { file, from, to, specifier } of arrows) {
      if (from !== "agent" || to !== "sinks") continue;
      const loaded = transpiler.scanImports(await Bun.file(join(ROOT, file)).text());
      if (loaded.some(({ path }) => path === specifier)) loading.push(file);
    }
    expect(loading).toEqual([]);
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

describe("the drawing of rooms", () => {
  const arrow = (from: string, to: string) => ({ from, to });

  test("puts each room above all that it imports", () => {
    const rooms = roomsOf(
      ["a", "b", "c", "d"],
      [arrow("a", "b"), arrow("b", "c"), arrow("a", "c")],
    );
    expect(layersOf(rooms)).toEqual([["c", "d"], ["b"], ["a"]]);
  });

  test("names the rooms of a circle", () => {
    const circle = [arrow("a", "b"), arrow("b", "c"), arrow("c", "d"), arrow("d", "b")];
    expect(() => layersOf(roomsOf(["a", "b", "c", "d"], circle))).toThrow("b → c → d → b");
  });

  test("sees a circle of folders whose files have none", () => {
    const files = [
      arrow("src/a/b/one.ts", "src/a/c/one.ts"),
      arrow("src/a/c/two.ts", "src/a/b/two.ts"),
    ];
    expect(circleOf(files)).toBeUndefined();
    expect(circleOf(arrowsByFolder(files).get("src/a")!)).toContain("b → c → b");
  });

  test("sees no circle where a folder's door is above it and what it shares below", () => {
    const files = [
      arrow("src/a/index.ts", "src/a/b/one.ts"),
      arrow("src/a/b/one.ts", "src/a/b/two.ts"),
      arrow("src/a/b/two.ts", "src/a/shared.ts"),
    ];
    expect([...arrowsByFolder(files).values()].map(circleOf)).toEqual([undefined, undefined]);
  });

  test("leaves out arrows that follow from others, and depends on no order", () => {
    const arrows = [arrow("top.ts", "mid"), arrow("mid", "low"), arrow("top.ts", "low")];
    const drawn = [
      "flowchart TB",
      '  subgraph layer2[" "]',
      '    top_ts["top.ts"]',
      "  end",
      '  subgraph layer1[" "]',
      '    mid["mid"]',
      "  end",
      '  subgraph layer0[" "]',
      '    low["low"]',
      "  end",
      "  mid --> low",
      "  top_ts --> mid",
    ].join("\n");
    expect(flowchart(roomsOf(["top.ts", "mid", "low"], arrows))).toBe(drawn);
    expect(flowchart(roomsOf(["low", "top.ts", "mid"], arrows.toReversed()))).toBe(drawn);
  });

  test("takes a room's purpose from the first sentence of its index.ts", () => {
    const source =
      "#!/usr/bin/env bun\n// What layout.ts has\n// is for. More.\n\n// Else.\nexport {};\n";
    expect(purposeOf(source)).toBe("What layout.ts has is for.");
    expect(() => purposeOf('import "./a.ts";\n')).toThrow("does not open with a sentence");
  });

  test("replaces what stands between its two marks, and needs both", async () => {
    const { is } = await architecturePage();
    const page = redrawn(is, "a picture");
    expect(page).toContain("\n\na picture\n\n");
    expect(page).not.toContain("flowchart");
    expect(redrawn(page, "a picture")).toBe(page);
    expect(() => redrawn("a page", "a picture")).toThrow("needs one line");
  });
});
