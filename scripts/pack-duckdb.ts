// Packs DuckDB's library and addon for the compiled binary, which carries them in itself: build/duckdb/*.zst.

import { mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";

const FOLDER = "build/duckdb";
const FILES = ["libduckdb.so", "duckdb.node"];
/** 70 MB become 20 MB within two seconds; the highest levels take half a minute for two megabytes less. */
const LEVEL = 9;

/** Packs what the installed package has, once per version. @throws Error when it is not installed for this platform */
export async function packDuckDb(): Promise<void> {
  const platform = `${process.platform}-${process.arch}`;
  const bindings = dirname(Bun.resolveSync("@duckdb/node-bindings", process.cwd()));
  const manifest = Bun.resolveSync(`@duckdb/node-bindings-${platform}/package.json`, bindings);
  const { name, version } = await Bun.file(manifest).json();
  const stamp = Bun.file(join(FOLDER, "version"));
  const wanted = `${name} ${version}\n`;
  if ((await stamp.exists()) && (await stamp.text()) === wanted) return;
  await mkdir(FOLDER, { recursive: true });
  for (const file of FILES) {
    const to = join(FOLDER, `${file}.zst`);
    const bytes = await Bun.file(join(dirname(manifest), file)).bytes();
    await Bun.write(`${to}.tmp`, await Bun.zstdCompress(bytes, { level: LEVEL }));
    await rename(`${to}.tmp`, to);
  }
  await Bun.write(stamp, wanted);
}
