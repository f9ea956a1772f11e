// Prometheus's own parsers as a reader of what is exposed: a small Go program, built once. Where Go or the modules are
// missing, tests that need it are skipped, and say so.

import { join } from "node:path";
import { ROOT } from "./host.ts";
import { outcomeOf } from "./outcome.ts";

const SOURCE = join(import.meta.dir, "go-reader");
const BUILT = join(ROOT, ".cache/go-reader");

export interface ReadExposition {
  /** What is wrong; empty when nothing is. */
  wrong: string;
  series: { labels: Record<string, string>; value: string }[];
  types: Record<string, string>;
}

/** Whether there is a reader; the first call builds it. */
export const hasGoReader = build();

function build(): boolean {
  if (Bun.which("go") === null) return false;
  const { success, stderr } = Bun.spawnSync(["go", "build", "-o", BUILT, "."], {
    cwd: SOURCE,
    env: { ...process.env, GOTOOLCHAIN: "local", GOFLAGS: "-mod=readonly" },
    stderr: "pipe",
    timeout: 120_000,
  });
  if (!success)
    console.warn(`Prometheus's parsers are not built, their tests are skipped: ${stderr}`);
  return success;
}

/** What Prometheus reads in each of these answers. */
export async function readByPrometheus(
  answers: readonly { contentType: string; text: string }[],
): Promise<ReadExposition[]> {
  const child = Bun.spawn([BUILT], {
    stdin: Buffer.from(JSON.stringify(answers)),
    stdout: "pipe",
    stderr: "pipe",
  });
  const { exitCode, stdout, stderr } = await outcomeOf(child);
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as ReadExposition[];
}
