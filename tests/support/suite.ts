// bun tests/support/suite.ts FOLDER [--may-fall-over]
// Runs the test files of a folder as `make test` runs its own, and writes what it finds to told.json there.
// tests/scripts.test.ts runs it.

import { join } from "node:path";
import { type Counts, count } from "../../scripts/junit.ts";
import { type Run, runAgain, runSuite, summary } from "../../scripts/suites.ts";

export interface Told {
  /** Of tests, as they count in the end. */
  counts: Counts;
  /** How many failures there are in the end, of tests and others. */
  failures: number;
  summary: string;
  /** What was shown while they ran. */
  shown: string;
}

if (import.meta.main) {
  const [folder = "", mayFallOver] = process.argv.slice(2);
  const report = join(folder, "junit.xml");
  const run = (paths: readonly string[]): Run => ({
    command: [
      ...[process.execPath, "test", `--cwd=${folder}`],
      ...["--reporter=junit", `--reporter-outfile=${report}`, ...paths],
    ],
    ...{ report, limitMs: 60_000 },
  });
  const outcome = await runSuite({
    name: "tests",
    run: run([]),
    again: (file) => run([`./${file}`]),
    mayFallOver: mayFallOver !== undefined,
  });
  await runAgain([outcome]);
  const told: Omit<Told, "shown"> = {
    counts: count(outcome.cases),
    failures: outcome.failures.length,
    summary: summary(outcome.failures, outcome.forgiven),
  };
  await Bun.write(join(folder, "told.json"), JSON.stringify(told));
}
