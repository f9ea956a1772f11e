// A host of its own for one test: folders for socket and pools, agents in this process and in others, clients and
// children. `await using host = new TestHost()` ends all of it.

import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../scripts/root.ts";
import type { Agent, AgentOptions } from "../../src/agent/agent.ts";
import { MicroView, type MicroViewOptions } from "../../src/client/index.ts";
import { SharedFile } from "../../src/ffi/index.ts";
import { poolPath, SHM_DIR } from "../../src/layout/index.ts";
import type { ApiError, AttachResponse } from "../../src/rest/index.ts";
import { LoggedProcess, type LogLine } from "./logged-process.ts";
import { PoolView } from "./pool-view.ts";
import type { limits } from "./pools.ts";
import { until } from "./wait.ts";

export { type LogLine, ROOT };
export const CLI = join(ROOT, "src/cli.ts");

export type TestAgentOptions = Partial<Omit<AgentOptions, "limits" | "log">> & {
  limits?: Parameters<typeof limits>[0];
};

export class TestHost implements AsyncDisposable {
  readonly folder = mkdtempSync("/tmp/microview-test-");
  readonly poolDir = mkdtempSync("/dev/shm/microview-test-");
  readonly socketPath = join(this.folder, "agent.sock");
  /** What the agents of this process have logged. */
  readonly log: LogLine[] = [];
  /** What the clients of this process were warned of. */
  readonly warnings: ApiError[] = [];
  readonly #agents: Agent[] = [];
  readonly #clients: MicroView[] = [];
  readonly #children: Bun.Subprocess[] = [];
  readonly #closing: (() => unknown)[] = [];

  /** @param microview what runs `microview` in a process of its own: from its sources, or as it is built */
  constructor(readonly microview: readonly string[] = [process.execPath, CLI]) {}

  /** An agent in this process; `scan()` may be called instead of waiting for its interval. */
  async agent(options: TestAgentOptions = {}): Promise<Agent> {
    // Only now: most of it is the REST interface, which takes seconds to load in an emulated machine.
    const { Agent } = await import("../../src/agent/agent.ts");
    const { createLog } = await import("../../src/guard/log.ts");
    const { limits } = await import("./pools.ts");
    const agent = await Agent.start({
      socketPath: this.socketPath,
      poolDir: this.poolDir,
      host: "127.0.0.1",
      port: 0,
      dataPort: 0,
      poolMode: 0o660,
      strategy: "page",
      scanIntervalMs: 20,
      insecure: false,
      version: "0.0.0-test",
      ...options,
      limits: limits(options.limits),
      log: createLog("debug", true, (line) => this.log.push(JSON.parse(line))),
    });
    this.#agents.push(agent);
    return agent;
  }

  /** An agent of its own process, from the command line; started when it serves. */
  async agentProcess(...flags: string[]): Promise<AgentProcess> {
    const agent = new AgentProcess(this, flags);
    await agent.serves();
    return agent;
  }

  /** A client of this thread. */
  client(options: Partial<MicroViewOptions> = {}): MicroView {
    const client = new MicroView({
      app: "shop",
      service: "auth",
      socket: this.socketPath,
      onWarning: (warning) => this.warnings.push(warning),
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  /** Runs a file of the tests with bun, in a process that ends with this host. Its argument is given as JSON. */
  run(file: string, argument: unknown, options: { stderr?: "pipe" | "inherit" } = {}) {
    return this.own(
      Bun.spawn([process.execPath, join(ROOT, file), JSON.stringify(argument)], {
        stdin: "pipe",
        stdout: "pipe",
        stderr: options.stderr ?? "inherit",
      }),
    );
  }

  /** Takes care that a child ends with this host. */
  own<T extends Bun.Subprocess>(child: T): T {
    this.#children.push(child);
    return child;
  }

  /** Calls back when the host ends, last first. */
  onEnd(close: () => unknown): void {
    this.#closing.push(close);
  }

  /**
   * Takes the lock of a writer that was attached by hand, as the thread does that is the writer.
   * @returns what drops it; the host's end does so too
   */
  hold({ pool, lock }: Pick<AttachResponse, "pool" | "lock">): () => void {
    const file = SharedFile.open(pool.path, true);
    this.onEnd(() => file.close());
    if (!file.lock(lock.offset, lock.bytes)) throw new Error(`the lock in ${pool.path} is taken`);
    return () => file.unlock(lock.offset, lock.bytes);
  }

  /** An application's pool, read again at every question. */
  view(app = "shop"): PoolView {
    const view = new PoolView(this.poolDir, app);
    this.onEnd(() => view.close());
    return view;
  }

  /** Waits until a value in the pool is what it should be. */
  async shows(
    expected: number,
    metric: string,
    { app = "shop", service = "auth", labels = {} as Record<string, string> } = {},
  ): Promise<void> {
    const view = this.view(app);
    let last: number | undefined;
    await until(`${metric} is ${expected}`, () => {
      last = view.value(service, metric, labels);
      if (last !== expected) throw new Error(`it is ${last}`);
      return true;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.reverse()) await close();
    await Promise.all(this.#clients.map((client) => client.close()));
    for (const child of this.#children) child.kill("SIGKILL");
    await Promise.all(this.#children.map((child) => child.exited));
    for (const agent of this.#agents) await agent.stop();
    this.#removeLinks();
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.poolDir, { recursive: true, force: true });
  }

  /** Names of the pool that an agent has given to the prototype's clients. */
  #removeLinks(): void {
    const pool = statSync(poolPath("legacy", this.poolDir), { throwIfNoEntry: false });
    if (pool === undefined) return;
    for (const name of readdirSync(SHM_DIR)) {
      const link = join(SHM_DIR, name);
      if (statSync(link, { throwIfNoEntry: false })?.ino === pool.ino) rmSync(link);
    }
  }
}

/** `microview agent` as a process. */
export class AgentProcess extends LoggedProcess {
  constructor(
    readonly host: TestHost,
    flags: readonly string[],
    wrapper: readonly string[] = [],
  ) {
    super(host, [...wrapper, ...host.microview, "agent", ...flagsFor(host, flags)]);
  }

  get port(): number {
    return Number(new URL(this.#served()["rest"] as string).port);
  }

  get dataPort(): number {
    return this.#served()["dataPort"] as number;
  }

  get pid(): number {
    return this.child.pid;
  }

  /** What it says to people who wonder why it has ended, or does not what it should. */
  get text(): string {
    const errors = this.log.filter(({ level }) => level === "error");
    const said = errors.map(
      ({ message, hint }) =>
        `microview: ${message}\n${hint === undefined ? "" : `hint: ${hint}\n`}`,
    );
    return this.stray + said.join("");
  }

  async serves(): Promise<void> {
    await until("the agent serves", () => {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.text}`);
      return this.find("the agent serves");
    });
  }

  #served(): LogLine {
    const line = this.find("the agent serves");
    if (line === undefined) throw new Error("the agent does not serve yet");
    return line;
  }
}

/** The flags given, and those of the host for what they leave open: each may stand once. */
function flagsFor(host: TestHost, given: readonly string[]): string[] {
  const defaults = {
    "--socket": host.socketPath,
    "--pool-dir": host.poolDir,
    "--port": "0",
    "--data-port": "0",
    "--scan-interval": "20ms",
  };
  const open = Object.entries(defaults).filter(([name]) => !given.includes(name));
  return [...open.flat(), "--json-logs", ...given];
}
