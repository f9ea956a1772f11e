// Python with packages of PyPI, in a virtual environment below .cache that is made once. Where there is no Python or PyPI
// cannot be reached, tests that need it are skipped, and say so.

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../scripts/root.ts";

/**
 * @param name of the environment; another list of packages needs another
 * @param packages as pip takes them, with their versions
 * @returns the interpreter; undefined when it cannot be had
 */
export function pythonWith(name: string, packages: readonly string[]): string | undefined {
  const folder = join(ROOT, ".cache", `python-${name}`);
  const python = join(folder, "bin/python");
  const done = join(folder, "done");
  if (existsSync(done)) return python;
  rmSync(folder, { recursive: true, force: true });
  const pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  const steps = [
    ["python3", "-m", "venv", folder],
    [...pip, "--retries", "1", "--timeout", "10", ...packages],
  ];
  for (const step of steps) {
    if (Bun.which(step[0]!) === null) return skipped(`there is no ${step[0]}`);
    const { success, stderr } = Bun.spawnSync(step, { stderr: "pipe", timeout: 180_000 });
    if (!success) return skipped(stderr.toString());
  }
  writeFileSync(done, "");
  return python;
}

function skipped(why: string): undefined {
  console.warn(`Python with packages of PyPI is not there, its tests are skipped: ${why}`);
  return undefined;
}
