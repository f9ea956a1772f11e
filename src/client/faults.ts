// Records what ends this process, or a Worker of it, without having any part in how it ends: exceptions that nobody
// catches, and rejections that nobody handles. src/client/register.ts calls it.

import { lastDeclared } from "./declared.ts";
import { MicroView } from "./microview.ts";
import { warnOnStderr } from "./warning.ts";

/** In the global object: `bun --hot` evaluates modules again, and one who listens is enough. */
const REGISTERED = Symbol.for("microview.faults.1");
const TARGET = "process";
/** `--unhandled-rejections` that make exceptions of them, which are seen anyway. */
const THROWING = ["throw", "strict"];
/** Those that do the same whether somebody listens or not. */
const REGARDLESS = ["warn", "none"];
/** Rejected to learn that all rejections of a turn have been told of. */
const LAST = Symbol("the last of this turn");

type Origin = "uncaughtException" | "unhandledRejection";

/** Begins to record; a second time does nothing. */
export function recordFaults(): void {
  const global = globalThis as { [REGISTERED]?: true };
  if (global[REGISTERED]) return;
  global[REGISTERED] = true;
  const faults = new Faults();
  // Fires for exceptions, and for rejections of modules that are being loaded; nothing is asked of who listens.
  process.on("uncaughtExceptionMonitor", (error, origin) => faults.record(error, origin));
  if (!THROWING.includes(rejectionsMode())) faults.listen();
}

class Faults {
  readonly #recorded = new WeakSet<object>();
  readonly #isReplayed = !REGARDLESS.includes(rejectionsMode());
  #held: unknown[] = [];
  #own: MicroView | undefined;

  record(reason: unknown, origin: Origin): void {
    try {
      if (typeof reason === "object" && reason !== null) {
        // Some modes tell of a rejection twice.
        if (this.#recorded.has(reason)) return;
        this.#recorded.add(reason);
      }
      const isError = reason instanceof Error;
      const properties = isError || typeof reason !== "object" ? { origin } : { origin, reason };
      const message = isError ? reason : `${TITLES[origin]}: ${String(reason)}`;
      this.#client?.recorder.logger(TARGET, () => "").fatal(message, properties);
    } catch {
      // It ends, and not because of us.
    }
  }

  listen(): void {
    process.on("unhandledRejection", this.#rejected);
  }

  readonly #rejected = (reason: unknown): void => {
    if (reason === LAST) return this.#rejectAgain();
    this.record(reason, "unhandledRejection");
    if (!this.#isReplayed || process.listenerCount("unhandledRejection") > 1) return;
    // Without this listener Bun would have ended the process. That default cannot be called, so the promise is rejected
    // again without a listener: after the other rejections of this turn, because each of them reaches a listener first.
    if (this.#held.push(reason) === 1) void Promise.reject(LAST);
  };

  #rejectAgain(): void {
    process.off("unhandledRejection", this.#rejected);
    for (const reason of this.#held) void Promise.reject(reason);
    this.#held = [];
    setImmediate(() => this.listen());
  }

  /** The one that the service has made last, or, where it has none yet, one by the environment. */
  get #client(): MicroView | undefined {
    const made = lastDeclared()?.owner ?? this.#own;
    if (made !== undefined) return made as MicroView;
    const { MICROVIEW_APP: app, MICROVIEW_SERVICE: service } = process.env;
    if (!app || !service) {
      warnOnStderr({
        code: "no-service",
        message: "what ends this process is not recorded: it has not said which service it is",
        hint: "set MICROVIEW_APP and MICROVIEW_SERVICE, or make a MicroView before",
      });
      return undefined;
    }
    this.#own = new MicroView({ app, service });
    return this.#own;
  }
}

const TITLES: Readonly<Record<Origin, string>> = {
  uncaughtException: "uncaught exception",
  unhandledRejection: "unhandled rejection",
};

function rejectionsMode(): string {
  const flag = "--unhandled-rejections";
  const at = process.execArgv.findIndex((each) => each === flag || each.startsWith(`${flag}=`));
  if (at < 0) return "";
  const [, mode] = process.execArgv[at]!.split("=");
  return mode ?? process.execArgv[at + 1] ?? "";
}
