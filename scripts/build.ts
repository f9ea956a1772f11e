// Compiles the program into one file, dist/microview. Called by `make build`.

import { mkdir, rename, stat } from "node:fs/promises";

const OUTPUT = "dist/microview";

/**
 * The program first; then what it starts as `new Worker(...)`, which the compiler cannot see. With
 * `--root=.` each keeps its path inside the binary: `new URL("./src/collector/worker.ts",
 * import.meta.url)` finds it from anywhere, where `import.meta.url` holds `/$bunfs/`.
 */
const ENTRY_POINTS = ["src/cli.ts", "src/collector/worker.ts", "src/agent/data-worker.ts"];

process.chdir(`${import.meta.dir}/..`);

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
const compiler = Bun.spawnSync(
  [
    process.execPath,
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--format=esm",
    "--root=.",
    "--define",
    'process.env.NODE_ENV="production"',
    `--outfile=${OUTPUT}.tmp`,
    ...ENTRY_POINTS,
  ],
  { stdout: "pipe", stderr: "pipe" },
);
if (!compiler.success) {
  process.stderr.write(compiler.stdout);
  process.stderr.write(compiler.stderr);
  process.exit(1);
}
// Renamed at the end, so that a running binary is never written to.
await rename(`${OUTPUT}.tmp`, OUTPUT);
const { size } = await stat(OUTPUT);
console.log(`${OUTPUT}  ${(size / 1e6).toFixed(0)} MB`);
