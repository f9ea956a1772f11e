// Runs the tests that need a kernel of their own, and ends with the line `N passed, N failed`.
// `make test-vm`, `make test-vm-pair` and `make test` call it.
//
//   bun tests/vm/test.ts suite [FILE...]  tests/vm/suite/*.vm.ts, all in one machine
//   bun tests/vm/test.ts pair [FILE...]   tests/vm/pair/*.vm.ts, with agent.sh in another machine

import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { casesIn, count } from "../../scripts/junit.ts";
import { ROOT } from "../../scripts/root.ts";
import { patience } from "../support/speed.ts";
import { BuildError } from "./build.ts";
import { interruption, MachineError, runMachine } from "./machine.ts";
import { runPair } from "./pair.ts";

/** Emulated processors are some twenty times slower than the host's, and slower still where that is busy. */
const TEST_TIMEOUT_MS = Math.round(patience(60_000));
/** Load may come after the start. */
const MACHINE_TIMEOUT_S = patience(480);

const RUNS = { suite: runSuite, pair: runBoth } as const;

/** Runs inside of the machine. */
function bunTest(files: readonly string[]): string {
  const reporter = "--reporter=junit --reporter-outfile=/out/junit.xml";
  // Times of tests for an emulated processor were chosen on one.
  return `MICROVIEW_TESTS_SLOWER=20 bun test --timeout=${TEST_TIMEOUT_MS} ${reporter} ${files.map((file) => `./${file}`).join(" ")}`;
}

async function runSuite(files: readonly string[], out: string): Promise<number> {
  return await runMachine({
    ...{ folder: ROOT, out, timeoutS: MACHINE_TIMEOUT_S, signal: interruption() },
    command: bunTest(files),
  });
}

async function runBoth(files: readonly string[], out: string): Promise<number> {
  return await runPair({
    ...{ folder: ROOT, out, timeoutS: MACHINE_TIMEOUT_S, signal: interruption() },
    one: "exec sh tests/vm/pair/agent.sh",
    two: bunTest(files),
  });
}

async function main(): Promise<boolean> {
  const [name = "", ...chosen] = process.argv.slice(2);
  if (name !== "suite" && name !== "pair") {
    console.error("usage: bun tests/vm/test.ts suite|pair [FILE...]");
    process.exit(2);
  }
  const folder = `tests/vm/${name}`;
  const found = (await readdir(join(ROOT, folder)))
    .filter((file) => file.endsWith(".vm.ts"))
    .sort();
  const files = chosen.length > 0 ? chosen : found.map((file) => `${folder}/${file}`);
  const out = join(ROOT, "build/vm", name);
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const startedNs = Bun.nanoseconds();
  let exitCode = 1;
  try {
    exitCode = await RUNS[name](files, out);
  } catch (error) {
    if (!(error instanceof MachineError || error instanceof BuildError)) throw error;
    console.error(`vm: ${error.message}`);
  }
  const report = Bun.file(join(out, "junit.xml"));
  const counts = count((await report.exists()) ? casesIn(await report.text()) : []);
  // A machine that did not last, a file that does not load, an error between tests.
  if (exitCode !== 0 && counts.failed === 0) counts.failed++;
  if (counts.passed + counts.failed === 0) {
    console.error(`vm: no test was run in ${folder}`);
    counts.failed++;
  }
  const seconds = ((Bun.nanoseconds() - startedNs) / 1e9).toFixed(1);
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
  console.log(
    `${folder}: ${counts.passed} passed, ${counts.failed} failed${skipped} (${seconds} s)`,
  );
  return counts.failed === 0;
}

process.exitCode = (await main()) ? 0 : 1;
