// A query process, as the lake sees it: started ahead, given one query, watched, and killed when it takes too much
// memory or time, or nobody wants its answer any more. Used by runner.ts.

import { readFileSync } from "node:fs";
import type { Libraries } from "../../duckdb/index.ts";
import { outOfMemory } from "./errors.ts";
import { FRAME, type Frame, framesOf, type Given, type Question, type Setup } from "./frames.ts";
import { QueryError } from "./query-error.ts";

/** How often its memory is looked at: a page costs 100 ns to fill, so 20 ms are some 800 MB at the very worst. */
const WATCH_MS = 20;
const PAGE_BYTES = 4096;
/** More than what it may allocate: pages of files and of libraries count as resident too. */
const SLACK_BYTES = 512 * 1024 * 1024;

export interface ChildOptions extends Setup {
  /** The files that a query is given are in it. */
  folder: string;
  /** DuckDB's, where the process is not to unpack them itself. */
  libraries: Libraries | undefined;
  /** This program with the subcommand of query processes. */
  command: readonly string[];
}

export class QueryChild {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #frames: AsyncGenerator<Frame, void>;
  readonly #memoryBytes: number;
  readonly #errors: Promise<string>;
  readonly #ready: Promise<void>;
  #reason: QueryError | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor({ command, folder, libraries, ...setup }: ChildOptions) {
    this.#memoryBytes = setup.memoryBytes;
    // No environment: it may hold secrets, and no SQL of anybody's needs it.
    const shared = libraries === undefined ? [] : [libraries.library, libraries.addon];
    const flags = ["--folder", folder, ...(libraries === undefined ? [] : ["--libraries"])];
    this.#process = Bun.spawn([...command, ...flags], {
      ...{ cwd: "/", env: {} },
      stdio: ["pipe", "pipe", "pipe", ...shared],
    });
    this.#errors = new Response(this.#process.stderr).text().catch(() => "");
    this.#frames = framesOf(this.#process.stdout);
    this.#say(setup);
    this.#ready = this.#becomeReady();
    // Its caller is told; nobody may.
    this.#ready.catch(() => {});
  }

  get pid(): number {
    return this.#process.pid;
  }

  get isAlive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** When it has ended, whatever the reason. */
  get ended(): Promise<unknown> {
    return this.#process.exited;
  }

  /**
   * Gives it its query.
   * @param timeMs after which it is killed
   */
  async ask(question: Question, timeMs: number): Promise<void> {
    this.#deadline = setTimeout(() => this.kill(tooLong(timeMs)), timeMs);
    await this.#ready;
    const limit = this.#memoryBytes + SLACK_BYTES;
    this.#watch = setInterval(() => {
      if (residentBytes(this.pid) > limit) this.kill(outOfMemory());
    }, WATCH_MS);
    this.#say(question);
  }

  give(given: Given): void {
    this.#say(given);
  }

  /**
   * What it says next; undefined when it has said all.
   * @throws QueryError when it ended before that, or was killed
   */
  async next(): Promise<Frame | undefined> {
    const { value, done } = await this.#frames
      .next()
      .catch(() => ({ value: undefined, done: true }));
    if (done !== true && value !== undefined) {
      if (value.kind === FRAME.error) {
        throw QueryError.read(textOf(value));
      }
      return value;
    }
    await this.#process.exited;
    throw this.#reason ?? (await this.#unforeseen());
  }

  /** @param reason that the waiting caller is told */
  kill(reason?: QueryError): void {
    this.#reason ??= reason;
    this.#process.kill("SIGKILL");
    this.rest();
  }

  /** Watches it no more. */
  rest(): void {
    clearInterval(this.#watch);
    clearTimeout(this.#deadline);
  }

  async #becomeReady(): Promise<void> {
    const frame = await this.next();
    if (frame?.kind !== FRAME.ready) throw new Error("a query process does not speak as expected");
  }

  #say(line: unknown): void {
    const { stdin } = this.#process;
    try {
      stdin.write(`${JSON.stringify(line)}\n`);
      stdin.flush();
    } catch {
      // It has ended: the reader of its answer finds out why.
    }
  }

  /** What is told when it ended by itself without an answer. */
  async #unforeseen(): Promise<QueryError> {
    const { signalCode, exitCode } = this.#process;
    const said = (await this.#errors).trim();
    // A program that cannot allocate and cannot go on aborts: JavaScriptCore, and C++ where nothing catches it.
    const isMemory = ["SIGABRT", "SIGTRAP", "SIGILL", "SIGSEGV", "SIGBUS", "SIGKILL"];
    if (isMemory.includes(String(signalCode)) || /memory/i.test(said)) return outOfMemory();
    const how = signalCode ?? `exit code ${exitCode}`;
    return new QueryError(
      "query-process-ended",
      `the process of the query ended (${how})${said === "" ? "" : `: ${said.slice(0, 500)}`}`,
      "this is a fault of microview, or of how it is set up",
      500,
    );
  }
}

export function textOf({ bytes }: Frame): string {
  return new TextDecoder().decode(bytes);
}

function tooLong(timeMs: number): QueryError {
  return new QueryError(
    "time-limit",
    `the query took longer than ${timeMs / 1_000} s`,
    "ask for a shorter range, or give the lake a longer --query-time",
    422,
  );
}

/** Of physical memory; 0 when the process has gone. */
function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE_BYTES;
  } catch {
    return 0;
  }
}
