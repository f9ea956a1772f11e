// Runs tests that write a JUnit report, files with few failures once more, and tells in the end what failed and why.
// scripts/test.ts calls it. docs/decisions/0041 says why a file is run again.

import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { runBounded } from "./bounded.ts";
import { type Case, casesIn } from "./junit.ts";
import { failuresIn, printedFor, shortened, straysIn } from "./output.ts";

/** More than this is no bad luck. */
const AGAIN_TESTS_MAX = 5;
const AGAIN_FILES_MAX = 3;
/** How many failures are printed in full, and how many lines of each. */
const TOLD_MAX = 10;
const TOLD_LINES = 40;
/** Of names in the lines before the closing one. */
const NAMED_MAX = 40;
/** Of a run that ended before its report. */
const LAST_LINES = 30;

/** How tests are run, and where their report is then. */
export interface Run {
  readonly command: readonly string[];
  readonly report: string;
  readonly limitMs: number;
}

export interface Suite {
  /** As it is told; one word or a few. */
  readonly name: string;
  readonly run: Run;
  /** Runs one of its files alone. */
  readonly again: (file: string) => Run;
  /** Whether all of it may be run again where it ended before its report: an emulated machine may fall over. */
  readonly mayFallOver?: boolean;
}

/** What does not pass, whether a test or not. */
export interface Failure {
  /** Undefined where it is that of no file: a check, or a run that ended before its report. */
  readonly file: string | undefined;
  readonly name: string;
  readonly error: string;
}

export interface Outcome {
  readonly suite: Suite;
  /** The tests as they count: of a file that passed alone, as they were then. */
  cases: readonly Case[];
  /** What counts as failed. */
  failures: readonly Failure[];
  /** What failed at first, and passed alone. */
  forgiven: readonly Failure[];
}

/** Runs the tests of a suite, and shows their output as it comes. */
export async function runSuite(suite: Suite): Promise<Outcome> {
  return { suite, ...(await run(suite.name, suite.run)), forgiven: [] };
}

/** What is run once more: a file, or all of a suite. */
interface Again {
  readonly outcome: Outcome;
  readonly name: string;
  readonly run: Run;
  /** Whether something is of it. */
  readonly covers: (of: { readonly file: string | undefined }) => boolean;
}

/** Runs each file with a failure once more, alone, where failures are few. What it finds then counts, if all of it passes. */
export async function runAgain(outcomes: readonly Outcome[]): Promise<void> {
  const chosen = outcomes.flatMap(toRunAgain);
  const failuresOf = ({ outcome, covers }: Again) => outcome.failures.filter(covers);
  const failed = chosen.flatMap(failuresOf).length;
  if (failed > AGAIN_TESTS_MAX || chosen.length > AGAIN_FILES_MAX) {
    console.log(
      `\nnot run again: ${failed} failures in ${chosen.length} files, more than ${AGAIN_TESTS_MAX} or in more than ${AGAIN_FILES_MAX}`,
    );
    return;
  }
  for (const each of chosen) {
    const { outcome, covers } = each;
    console.log(`\nagain, alone: ${each.name}`);
    const again = await run(each.name, each.run);
    const failures = failuresOf(each);
    // A test that is left out this time has not passed.
    const isLeftOut = ({ name }: Failure): boolean =>
      again.cases.some((test) => test.name === name && test.state === "skipped");
    if (again.failures.length > 0 || failures.some(isLeftOut)) continue;
    outcome.forgiven = [...outcome.forgiven, ...failures];
    outcome.failures = outcome.failures.filter((failure) => !covers(failure));
    outcome.cases = [...outcome.cases.filter((test) => !covers(test)), ...again.cases];
  }
}

function toRunAgain(outcome: Outcome): Again[] {
  const { suite, failures } = outcome;
  if (suite.mayFallOver && failures.some(({ file }) => file === undefined)) {
    return [{ outcome, name: suite.name, run: suite.run, covers: () => true }];
  }
  const files = failures.map(({ file }) => file).filter((file) => file !== undefined);
  return [...new Set(files)].map((name) => ({
    ...{ outcome, name, run: suite.again(name) },
    covers: ({ file }) => file === name,
  }));
}

/** What stands before the closing line: each error, then each name on a line of its own. */
export function summary(failed: readonly Failure[], forgiven: readonly Failure[]): string {
  const all = [...failed, ...forgiven];
  const told = all
    .slice(0, TOLD_MAX)
    .map((failure) =>
      `✗ ${fullName(failure)}\n${indent(shortened(failure.error, TOLD_LINES))}`.trimEnd(),
    );
  const names = [
    ...failed.map((failure) => `failed: ${fullName(failure)}`),
    ...forgiven.map((failure) => `passed only when run again alone: ${fullName(failure)}`),
  ];
  const more = names.length - NAMED_MAX;
  return [
    ...told.map((text) => `${text}\n`),
    // Those that were forgiven are few, and last.
    ...(more > 0 ? [`… (${more} more failed)`] : []),
    ...names.slice(-NAMED_MAX),
  ].join("\n");
}

export function secondsSince(startedNs: number): string {
  return `${((Bun.nanoseconds() - startedNs) / 1e9).toFixed(1)} s`;
}

export function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "    ");
}

async function run(name: string, { command, report, limitMs }: Run): Promise<Result> {
  await mkdir(dirname(report), { recursive: true });
  await rm(report, { force: true });
  const startedNs = Bun.nanoseconds();
  const { exitCode, output, how } = await runBounded(command, { shows: true, limitMs });
  const reported = (await Bun.file(report).exists()) ? await Bun.file(report).text() : undefined;
  const cases = casesIn(reported ?? "");
  // A run that did not last has no report.
  const failed =
    reported === undefined
      ? failuresIn(output).map((failure) => ({ ...failure, error: "" }))
      : cases.filter(({ state }) => state === "failed");
  const failures: Failure[] = [
    ...failed.map((test) => ({ ...test, error: errorOf(test, output) })),
    ...straysIn(output).map((stray) => ({ ...stray, name: "(between tests)" })),
  ];
  const trouble = troubleOf(exitCode, how, cases, failures);
  if (trouble !== undefined) {
    console.log(`✗ ${trouble}`);
    const last = output.trimEnd().split("\n").slice(-LAST_LINES).join("\n");
    failures.push({ file: undefined, name, error: `${trouble}. Its last lines:\n${last}` });
  }
  console.log(`${failures.length === 0 ? "✓" : "✗"} ${name.padEnd(16)} ${secondsSince(startedNs)}`);
  return { cases, failures };
}

interface Result {
  readonly cases: readonly Case[];
  readonly failures: Failure[];
}

/** What has gone wrong besides tests: a crash, a machine that did not last, a run without any test. */
function troubleOf(
  exitCode: number,
  how: string | undefined,
  cases: readonly Case[],
  failures: readonly Failure[],
): string | undefined {
  const reason = how === undefined ? "" : `: ${how}`;
  const isExplained = exitCode === 0 || (exitCode === 1 && failures.length > 0);
  if (!isExplained || how !== undefined) return `bun ended with exit code ${exitCode}${reason}`;
  const ran = cases.some(({ state }) => state !== "skipped");
  return ran || failures.length > 0 ? undefined : "no test was counted";
}

/** The report's words; of a test whose time was over it has next to none. */
function errorOf(
  { file, name, error }: Pick<Case, "file" | "name" | "error">,
  output: string,
): string {
  const printed = printedFor(output, file, name);
  if (error === "") return printed || "it gave no reason";
  return error.includes("\n") || printed === "" ? error : printed;
}

function fullName({ file, name }: Failure): string {
  return file === undefined ? name : `${file} > ${name}`;
}
