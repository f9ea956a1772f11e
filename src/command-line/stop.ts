// Ends a long-running subcommand in order. Ctrl-C, SIGTERM, a terminal that is closed and a closed output abort one
// signal, which the subcommand watches; it then finishes in bounded time, and says what it is doing when that takes
// longer than a moment. `timeout`, shells and managers of processes send a signal twice: only three within a second give up.

import { isatty } from "node:tty";

/** So many signals within this time give up. */
const GIVE_UP_SIGNALS = 3;
const GIVE_UP_WITHIN_MS = 1_000;
/** Kubernetes waits this long before it kills. */
const FINISH_WITHIN_MS = 30_000;
/** When it says what it is doing: by itself, and after another signal. */
const SAY_AFTER_MS = 1_000;
const SAY_AGAIN_AFTER_MS = 200;

/** Exit codes of a process ended by a signal, as shells count them. */
const EXIT_CODES: Readonly<Record<string, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/** What is being finished, and what becomes of it when it is given up. */
interface Work {
  what: string;
  left: string | undefined;
}

let controller: AbortController | undefined;
let finishWithinMs = FINISH_WITHIN_MS;
let hungUp: (() => void) | undefined;
let saying: Timer | undefined;
let say = (text: string): void => void process.stderr.write(`microview: ${text}\n`);
/** When the last signals came. */
const signalsAtMs: number[] = [];
const unfinished = new Set<Work>();

/**
 * The signal that says "finish, clean up, return". Taken once per process; asking again gives the
 * same one. Its reason is `SIGINT`, `SIGTERM`, `SIGHUP`, or why the output cannot be written, e.g. `EPIPE`.
 * @param withinMs after which finishing is given up
 */
export function stopSignal(withinMs = FINISH_WITHIN_MS): AbortSignal {
  if (controller !== undefined) return controller.signal;
  finishWithinMs = withinMs;
  const stopping = new AbortController();
  controller = stopping;
  const hasTerminal = [0, 1, 2].some((fd) => isatty(fd));
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (name === "SIGHUP" && hungUp !== undefined) return hungUp();
      // Nothing has hung up: managers of services send it so that files are read again.
      if (name === "SIGHUP" && !hasTerminal) return;
      take(name, stopping);
    });
  }
  return stopping.signal;
}

/** From now on SIGHUP ends nothing, but calls `handler`, as daemons that read their files again have it. */
export function onHangUp(handler: () => void): void {
  hungUp = handler;
}

/** From now on messages about the end go to `tell`, e.g. a log. */
export function sayEndBy(tell: (text: string) => void): void {
  say = tell;
}

/** Ends a subcommand that watches {@link stopSignal}. @returns false when none does */
export function stopFor(reason: string): boolean {
  if (controller === undefined) return false;
  if (!controller.signal.aborted) beginToFinish(reason, controller);
  return true;
}

/**
 * Names a part of the end while it goes on, for those who wait for it.
 * @param what e.g. "completing run.parquet"
 * @param left what is left of it when it is given up, e.g. what completes it
 */
export async function finishing<T>(what: string, part: Promise<T>, left?: string): Promise<T> {
  const work = { what, left };
  unfinished.add(work);
  try {
    return await part;
  } finally {
    unfinished.delete(work);
  }
}

/** Resolves when a signal is aborted. */
export function once(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function take(name: "SIGINT" | "SIGTERM" | "SIGHUP", stopping: AbortController): void {
  const nowMs = performance.now();
  const before = signalsAtMs.push(nowMs) - GIVE_UP_SIGNALS;
  if (before >= 0 && nowMs - signalsAtMs[before]! <= GIVE_UP_WITHIN_MS) {
    giveUp(`${GIVE_UP_SIGNALS} signals within a second`, EXIT_CODES[name]!);
  }
  if (stopping.signal.aborted) sayIn(SAY_AGAIN_AFTER_MS);
  else beginToFinish(name, stopping);
}

function beginToFinish(reason: string, stopping: AbortController): void {
  sayIn(SAY_AFTER_MS);
  const tooLong = () => giveUp(`not finished after ${finishWithinMs / 1000} s`, 1);
  setTimeout(tooLong, finishWithinMs).unref();
  stopping.abort(reason);
}

function sayIn(ms: number): void {
  clearTimeout(saying);
  saying = setTimeout(() => {
    say(`finishing${listed(({ what }) => what)}; a third signal within a second gives up`);
  }, ms).unref();
}

function giveUp(why: string, exitCode: number): never {
  say(
    `gave up, ${why}${listed(({ what, left }) => (left === undefined ? what : `${what} (${left})`))}`,
  );
  process.exit(exitCode);
}

function listed(text: (work: Work) => string): string {
  return unfinished.size === 0 ? "" : `: ${[...unfinished].map(text).join(", ")}`;
}
