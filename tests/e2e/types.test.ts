// Programs that import microview check its sources with their own compiler options, since its types are its sources.

import { expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";

/** As `bun init` writes them, which docs/library.md asks for. */
const BUN_INIT = {
  ...{ lib: ["ESNext"], target: "ESNext", module: "Preserve", moduleDetection: "force" },
  ...{ moduleResolution: "bundler", allowImportingTsExtensions: true, verbatimModuleSyntax: true },
  ...{ noEmit: true, strict: true, skipLibCheck: true, types: ["bun"] },
};

/** A project that depends on microview, with all examples and an import of each of its entries. */
async function project(host: TestHost, compilerOptions: object): Promise<string> {
  const folder = join(host.folder, "project");
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  for (const name of readdirSync(join(ROOT, "node_modules"))) {
    symlinkSync(join(ROOT, "node_modules", name), join(folder, "node_modules", name));
  }
  symlinkSync(ROOT, join(folder, "node_modules/microview"));
  const examples = readdirSync(join(ROOT, "examples")).filter((name) => name.endsWith(".ts"));
  for (const name of examples) copyFileSync(join(ROOT, "examples", name), join(folder, name));
  const { exports } = await Bun.file(join(ROOT, "package.json")).json();
  const entries = Object.keys(exports).filter((entry) => !entry.endsWith(".json"));
  expect(entries.length).toBeGreaterThan(5);
  const imports = entries.map((entry, i) => `export * as a${i} from "microview${entry.slice(1)}";`);
  writeFileSync(join(folder, "entries.ts"), imports.join("\n"));
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  return folder;
}

test.each([
  ["as `bun init` writes them", {}],
  [
    "stricter than that",
    { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noImplicitOverride: true },
  ],
  [
    "with checks of what is not there and not used",
    { noUnusedLocals: true, noImplicitReturns: true },
  ],
])("a program's compiler finds nothing in microview, with options %s", async (_, options) => {
  await using host = new TestHost();
  const cwd = await project(host, { ...BUN_INIT, ...options });
  expect(await checked(cwd)).toEqual({ found: "", code: 0 });
});

test("a program that gives no service is told so by its compiler", async () => {
  await using host = new TestHost();
  const cwd = await project(host, BUN_INIT);
  const source = `import { MicroView } from "microview";\nnew MicroView({ app: "shop" });\n`;
  writeFileSync(join(cwd, "wrong.ts"), source);
  const { found, code } = await checked(cwd);
  expect(found).toMatch(/^wrong\.ts\(2,\d+\): error TS\d+: .*'service'/);
  expect(code).not.toBe(0);
});

/** What the compiler finds in a project. */
async function checked(cwd: string): Promise<{ found: string; code: number }> {
  const tsc = Bun.spawn([process.execPath, join(ROOT, "node_modules/typescript/bin/tsc")], {
    cwd,
    stdout: "pipe",
    stderr: "ignore",
  });
  return { found: await tsc.stdout.text(), code: await tsc.exited };
}
