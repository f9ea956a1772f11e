// The engine of `make test`: runs every check and all tests, and ends with the line
// `N passed, N failed`. Each check counts as one, each test as one.

import { patience, slowness } from "../tests/support/speed.ts";
import { endRunning, runBounded } from "./bounded.ts";
import { count } from "./junit.ts";
import { ROOT } from "./root.ts";
import {
  type Failure,
  indent,
  type Outcome,
  type Run,
  runAgain,
  runSuite,
  type Suite,
  secondsSince,
  summary,
} from "./suites.ts";

const REPORT = "build/junit.xml";
const REPORT_AGAIN = "build/junit-again.xml";
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

process.chdir(ROOT);
process.env["PATH"] = `${process.cwd()}/node_modules/.bin:${process.env["PATH"] ?? ""}`;
// Of the agent that happens to run here; the tests have their own.
delete process.env["MICROVIEW_SOCKET"];
const selection = process.argv.slice(2);

const passedSteps = new Set<string>();
/** What failed outside of tests. */
const failures: Failure[] = [];
const outcomes: Outcome[] = [];
/** Kinds of machine tests that were left out, by request. */
let leftOut = 0;

const wantsMachines =
  !process.env[SKIP_MACHINES] &&
  (selection.length === 0 || selection.some((path) => path.includes("tests/vm")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    endRunning("SIGTERM");
    fail(`ended by ${signal}`, "");
    close();
  });
}
try {
  for (const step of wantsMachines ? [...STEPS, MACHINE] : STEPS) {
    if (await runStep(step)) passedSteps.add(step.name);
  }
  outcomes.push(await runSuite(plainTests(selection)));
  await runMachineTests();
  await runAgain(outcomes);
} catch (error) {
  console.error(error);
  fail("scripts/test.ts", Bun.inspect(error));
}
close();

function fail(name: string, error: string): void {
  failures.push({ file: undefined, name, error });
}

/** What failed, and the closing line, which comes whatever has hung or crashed. */
function close(): never {
  const failed = [...failures, ...outcomes.flatMap((outcome) => outcome.failures)];
  const forgiven = outcomes.flatMap((outcome) => outcome.forgiven);
  if (failed.length + forgiven.length > 0) console.log(`\n${summary(failed, forgiven)}`);
  const counts = count(outcomes.flatMap(({ cases }) => cases));
  const passed = passedSteps.size + counts.passed;
  const skipped = leftOut + counts.skipped;
  const rest = skipped > 0 ? `, ${skipped} skipped` : "";
  console.log(`\n${passed} passed, ${failed.length} failed${rest}`);
  process.exit(failed.length > 0 ? 1 : 0);
}

/** Runs a check; shows its output only when it fails. */
async function runStep({ name, command, after }: Step): Promise<boolean> {
  if (after !== undefined && !passedSteps.has(after)) {
    notRun(name, after);
    return false;
  }
  const startedNs = Bun.nanoseconds();
  const { exitCode, output, how } = await runBounded(command, {
    ...{ shows: false, limitMs: STEP_LIMIT_MS },
  });
  const passed = exitCode === 0;
  console.log(`${passed ? "✓" : "✗"} ${name.padEnd(16)} ${secondsSince(startedNs)}`);
  if (!passed) {
    const error = [output.trimEnd(), ...(how === undefined ? [] : [how])].join("\n");
    console.log(indent(error));
    fail(name, error);
  }
  return passed;
}

function notRun(name: string, after: string): void {
  const reason = `not run, because '${after}' failed`;
  console.log(`✗ ${name.padEnd(16)} ${reason}`);
  fail(name, reason);
}

/** The tests, all or those whose path holds one of `filters`. */
function plainTests(filters: readonly string[]): Suite {
  const run = (report: string, paths: readonly string[]): Run => ({
    command: [
      ...[process.execPath, "test", `--timeout=${TEST_TIMEOUT_MS}`],
      ...["--reporter=junit", `--reporter-outfile=${report}`, ...paths],
    ],
    ...{ report, limitMs: TESTS_LIMIT_MS },
  });
  return {
    name: "tests",
    run: run(REPORT, filters),
    again: (file) => run(REPORT_AGAIN, [`./${file}`]),
  };
}

/** The tests that need a kernel of their own, of one kind. */
function machineTests(which: keyof typeof MACHINE_TESTS): Suite {
  const run = (files: readonly string[]): Run => ({
    command: [process.execPath, "tests/vm/test.ts", which, ...files],
    ...{ report: `build/vm/${which}/junit.xml`, limitMs: TESTS_LIMIT_MS },
  });
  return {
    ...{ name: MACHINE_TESTS[which], run: run([]), again: (file) => run([file]) },
    mayFallOver: true,
  };
}

/** Runs the tests that need a kernel of their own; says so when it does not. */
async function runMachineTests(): Promise<void> {
  const kinds = ["suite", "pair"] as const;
  if (process.env[SKIP_MACHINES]) {
    console.log(`- machine tests    skipped, because ${SKIP_MACHINES} is set`);
    leftOut += kinds.length;
    return;
  }
  if (!wantsMachines) {
    console.log("- machine tests    not selected");
    return;
  }
  const missing = ["build", MACHINE.name].find((needed) => !passedSteps.has(needed));
  if (missing !== undefined) {
    for (const which of kinds) notRun(MACHINE_TESTS[which], missing);
    return;
  }
  console.log(
    `\nUnder kernels of their own, in qemu; \`${SKIP_MACHINES}=1 make test\` skips this.`,
  );
  for (const which of kinds) outcomes.push(await runSuite(machineTests(which)));
}
