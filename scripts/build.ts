// Compiles the program into one file, dist/microview. Called by `make build`.

import { mkdir, rename, stat } from "node:fs/promises";
import { packDuckDb } from "./pack-duckdb.ts";
import { ROOT } from "./root.ts";

const OUTPUT = "dist/microview";

/**
 * The program first; then what it starts as `new Worker(...)`, which the compiler cannot see. With
 * `root` each keeps its path inside the binary: `new URL("./src/collector/worker.ts",
 * import.meta.url)` finds it from anywhere, where `import.meta.url` holds `/$bunfs/`.
 */
const ENTRY_POINTS = [
  "src/cli.ts",
  "src/collector/worker.ts",
  "src/agent/serve/data-worker.ts",
  "src/sinks/recording/worker.ts",
  "src/events/shipping/worker.ts",
  "src/lake/views/worker.ts",
];

process.chdir(ROOT);

const missing: string[] = [];
for (const entryPoint of ENTRY_POINTS) {
  if (!(await Bun.file(entryPoint).exists())) missing.push(entryPoint);
}
if (missing.length > 0) {
  console.error(`build: missing ${missing.join(", ")}`);
  process.exit(1);
}

// The layout's numbers hold together, and C has the same ones: nothing is built otherwise.
const layout = Bun.spawnSync([process.execPath, "scripts/gen-layout.ts", "--check"], {
  stderr: "inherit",
});
if (!layout.success) process.exit(1);

await mkdir("dist", { recursive: true });
await packDuckDb();
const built = await Bun.build({
  entrypoints: ENTRY_POINTS,
  // Nothing in the folder that it is started in has a say: a bunfig.toml there could preload code.
  compile: { outfile: `${OUTPUT}.tmp`, autoloadBunfig: false, autoloadDotenv: false },
  minify: true,
  bytecode: true,
  format: "esm",
  root: ".",
  define: { "process.env.NODE_ENV": '"production"' },
  plugins: [
    {
      name: "duckdb from the binary",
      setup(build) {
        const path = `${process.cwd()}/src/duckdb/embedded.ts`;
        build.onResolve({ filter: /^@duckdb\/node-bindings$/ }, () => ({ path }));
      },
    },
  ],
  throw: false,
});
if (!built.success) {
  for (const log of built.logs) console.error(String(log));
  process.exit(1);
}
// Renamed at the end, so that a running binary is never written to.
await rename(`${OUTPUT}.tmp`, OUTPUT);
const { size } = await stat(OUTPUT);
console.log(`${OUTPUT}  ${(size / 1e6).toFixed(0)} MB`);
