// The built program, run as people run it: from an empty folder, with next to nothing in its environment.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ROOT, type TestHost } from "../support/host.ts";
import type { Outcome } from "../support/outcome.ts";
import { NO_AGENT } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";

const BINARY = join(ROOT, "dist/microview");
/** What the binary is made from. */
const SOURCES = ["src", "package.json", "build/shim.base64", "scripts/build.ts"];

/** Where the built program is; builds it when there is none, or one that is older than its sources. */
export function builtProgram(): string {
  const built = modifiedAt(BINARY);
  if (SOURCES.some((source) => modifiedAt(join(ROOT, source)) > built)) {
    const build = Bun.spawnSync([process.execPath, join(ROOT, "scripts/build.ts")]);
    if (!build.success) throw new Error(`cannot build: ${build.stderr}`);
  }
  return BINARY;
}

/** When a file, or the youngest file of a folder, was changed; 0 when it is not there. */
function modifiedAt(path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) return stat?.mtimeMs ?? 0;
  return Math.max(0, ...readdirSync(path).map((name) => modifiedAt(join(path, name))));
}

export interface Surroundings {
  /** Folder to run in; an empty one. */
  cwd: string;
  env?: Record<string, string>;
  /** In a process group of its own, as a shell starts it. */
  detached?: boolean;
}

/** One run of the program; its output can be read while it goes on. */
export class Program {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  stdout = "";
  stderr = "";
  readonly #said: Promise<unknown>;

  constructor(host: TestHost, args: readonly string[], { cwd, env, detached }: Surroundings) {
    this.child = host.own(
      Bun.spawn([builtProgram(), ...args], {
        cwd,
        env: { MICROVIEW_SOCKET: NO_AGENT, ...env },
        detached: detached ?? false,
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      }),
    );
    this.#said = Promise.all([
      read(this.child.stdout, (text) => {
        this.stdout += text;
      }),
      read(this.child.stderr, (text) => {
        this.stderr += text;
      }),
    ]);
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Waits until a look at its output finds something. */
  async shows<T>(what: string, look: (program: this) => T): Promise<NonNullable<T>> {
    const found = await until(what, () => {
      const answer = look(this);
      if (!answer && this.child.exitCode !== null) throw new Error(`it ended: ${this.stderr}`);
      return answer || undefined;
    });
    return found as NonNullable<T>;
  }

  /** Waits for its end, and for the last that it said. */
  async ended(): Promise<Outcome> {
    const exitCode = await this.child.exited;
    await this.#said;
    return { exitCode, stdout: this.stdout, stderr: this.stderr };
  }

  /** Ends it by a signal. */
  end(signal: NodeJS.Signals): Promise<Outcome> {
    this.child.kill(signal);
    return this.ended();
  }
}

async function read(stream: ReadableStream<Uint8Array>, take: (text: string) => void) {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}

/** `microview agent` on a test's own host: its ports are free ones. */
export class BuiltAgent extends Program {
  constructor(host: TestHost, surroundings: Surroundings, ...flags: string[]) {
    const ports = ["--port", "--data-port"].filter((name) => !flags.includes(name));
    const free = ports.flatMap((name) => [name, "0"]);
    super(host, ["agent", "--json-logs", ...free, ...placeFlags(host), ...flags], surroundings);
  }

  /** Waits until it serves. @returns the port of its REST interface */
  async serves(): Promise<number> {
    const line = await this.shows("the agent serves", ({ stderr }) =>
      stderr.split("\n").find((each) => each.includes('"the agent serves"') && each.endsWith("}")),
    );
    return Number(new URL(JSON.parse(line).rest).port);
  }
}

/** Where a test's host has its socket and its pools. */
export function placeFlags(host: TestHost): string[] {
  return ["--socket", host.socketPath, "--pool-dir", host.poolDir];
}

/** Processes that a process has started, and theirs. */
export function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const parent = /^\d+$/.test(name) ? parentOf(Number(name)) : undefined;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  for (let next = [pid]; next.length > 0; ) {
    next = next.flatMap((each) => children.get(each) ?? []);
    found.push(...next);
  }
  return found;
}

/** The command line of a process; undefined when it has gone. */
export function commandLine(pid: number): string[] | undefined {
  if (parentOf(pid) === undefined) return undefined;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return undefined;
  }
}

/** The parent of a living process; undefined for one that has gone or waits to be reaped. */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}
