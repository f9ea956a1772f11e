// The engine of `make test`: runs every check and all tests, and ends with the line
// `N passed, N failed`. Each check counts as one, each test as one.

import { mkdir, rm } from "node:fs/promises";
import { patience, slowness } from "../tests/support/speed.ts";
import { endRunning, runBounded } from "./bounded.ts";
import { type Counts, countJunit } from "./junit.ts";

const JUNIT = "build/junit.xml";
/** Tests under kernels of their own, by the name that tests/vm/test.ts knows them by. */
const MACHINE_TESTS = { suite: "in a machine", pair: "in two machines" } as const;
const SKIP_MACHINES = "MICROVIEW_SKIP_VM";
/** End-to-end tests start processes; bun's own limit of 5 s is too short on a busy machine. */
const TEST_TIMEOUT_MS = Math.round(patience(60_000));
/** What takes longer hangs: a check, and all tests. */
const SLOWER = Math.min(4, slowness());
const STEP_LIMIT_MS = 15 * 60_000 * SLOWER;
const TESTS_LIMIT_MS = 45 * 60_000 * SLOWER;

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** The step that must have passed for this one to mean anything. */
  readonly after?: string;
}

const STEPS: readonly Step[] = [
  { name: "shim", command: ["make", "shim"] },
  { name: "mocked RDMA", command: ["make", "mock"] },
  { name: "types", command: ["tsc", "--noEmit"] },
  { name: "lint", command: ["biome", "check", "--error-on-warnings", "."] },
  {
    name: "generated files",
    command: [process.execPath, "scripts/gen-layout.ts", "--check"],
  },
  { name: "sanitizers", command: ["make", "sanitize"] },
  { name: "build", command: [process.execPath, "scripts/build.ts"], after: "shim" },
];

/** The machine that some tests run in. */
const MACHINE: Step = { name: "machine", command: [process.execPath, "tests/vm/build.ts"] };

process.chdir(`${import.meta.dir}/..`);
process.env["PATH"] = `${process.cwd()}/node_modules/.bin:${process.env["PATH"] ?? ""}`;
// Of the agent that happens to run here; the tests have their own.
delete process.env["MICROVIEW_SOCKET"];
const selection = process.argv.slice(2);

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const passedSteps = new Set<string>();

const wantsMachines =
  !process.env[SKIP_MACHINES] &&
  (selection.length === 0 || selection.some((path) => path.includes("tests/vm")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    endRunning("SIGTERM");
    console.log(`✗ ended by ${signal}`);
    total.failed++;
    close();
  });
}
try {
  for (const step of wantsMachines ? [...STEPS, MACHINE] : STEPS) {
    if (await runStep(step)) {
      total.passed++;
      passedSteps.add(step.name);
    } else {
      total.failed++;
    }
  }
  add(total, await runTests(selection));
  add(total, await runMachineTests());
} catch (error) {
  console.error(error);
  total.failed++;
}
close();

/** The closing line, which comes whatever has hung or crashed. */
function close(): never {
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
  process.exit(total.failed > 0 ? 1 : 0);
}

/** Runs a check; shows its output only when it fails. */
async function runStep({ name, command, after }: Step): Promise<boolean> {
  if (after !== undefined && !passedSteps.has(after)) {
    console.log(`✗ ${name.padEnd(16)} not run, because '${after}' failed`);
    return false;
  }
  const startedNs = Bun.nanoseconds();
  const { exitCode, output, how } = await runBounded(command, {
    ...{ shows: false, limitMs: STEP_LIMIT_MS },
  });
  const passed = exitCode === 0;
  console.log(`${passed ? "✓" : "✗"} ${name.padEnd(16)} ${secondsSince(startedNs)}`);
  if (!passed)
    console.log(indent([output.trimEnd(), ...(how === undefined ? [] : [how])].join("\n")));
  return passed;
}

function add(sum: Counts, counts: Counts): void {
  sum.passed += counts.passed;
  sum.failed += counts.failed;
  sum.skipped += counts.skipped;
}

/** Runs the tests, all or those whose path holds one of `filters`. */
async function runTests(filters: readonly string[]): Promise<Counts> {
  const reporter = ["--reporter=junit", `--reporter-outfile=${JUNIT}`];
  const command = ["test", `--timeout=${TEST_TIMEOUT_MS}`, ...reporter, ...filters];
  return await runReported("tests", command, JUNIT);
}

/** Runs the tests that need a kernel of their own; says so when it does not. */
async function runMachineTests(): Promise<Counts> {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const kinds = Object.keys(MACHINE_TESTS).length;
  if (process.env[SKIP_MACHINES]) {
    console.log(`- machine tests    skipped, because ${SKIP_MACHINES} is set`);
    return { ...counts, skipped: kinds };
  }
  if (!wantsMachines) {
    console.log("- machine tests    not selected");
    return counts;
  }
  for (const needed of ["build", MACHINE.name]) {
    if (passedSteps.has(needed)) continue;
    console.log(`✗ machine tests    not run, because '${needed}' failed`);
    return { ...counts, failed: kinds };
  }
  console.log(
    `\nUnder kernels of their own, in qemu; \`${SKIP_MACHINES}=1 make test\` skips this.`,
  );
  for (const [which, name] of Object.entries(MACHINE_TESTS)) {
    const report = `build/vm/${which}/junit.xml`;
    add(counts, await runReported(name, ["tests/vm/test.ts", which], report));
  }
  return counts;
}

/** Runs tests with bun, shows their output as it comes, and counts by the report they write. */
async function runReported(
  name: string,
  command: readonly string[],
  reportPath: string,
): Promise<Counts> {
  await mkdir("build", { recursive: true });
  await rm(reportPath, { force: true });
  const startedNs = Bun.nanoseconds();
  const { exitCode, how } = await runBounded([process.execPath, ...command], {
    ...{ shows: true, limitMs: TESTS_LIMIT_MS },
  });
  const report = Bun.file(reportPath);
  const counts = (await report.exists())
    ? countJunit(await report.text())
    : { passed: 0, failed: 0, skipped: 0 };
  if (counts.passed + counts.failed === 0) {
    console.log(`✗ no test was counted${how === undefined ? "" : `: ${how}`}`);
    counts.failed++;
  } else if (exitCode !== 0 && counts.failed === 0) {
    // A file that does not load, an error between tests, or a crash.
    console.log(`✗ bun ended with exit code ${exitCode}${how === undefined ? "" : `: ${how}`}`);
    counts.failed++;
  }
  console.log(`${counts.failed === 0 ? "✓" : "✗"} ${name.padEnd(16)} ${secondsSince(startedNs)}`);
  return counts;
}

function secondsSince(startedNs: number): string {
  return `${((Bun.nanoseconds() - startedNs) / 1e9).toFixed(1)} s`;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, "    ");
}
