// Starts the demo's lake, agent, services and load, and ends them in order. For `microview demo`.

import { mkdtempSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { Agent, DEFAULT_LIMITS } from "../agent/index.ts";
import { createLog } from "../guard/index.ts";
import { SHM_DIR } from "../layout/index.ts";
import { type Child, startChild } from "./children.ts";
import { DEMO_PREFIX, DEMO_SOCKET, removeLeftovers } from "./leftovers.ts";
import { SERVICES } from "./services.ts";

const SPOOL_BYTES = 16 * 2 ** 20;
const SPOOL_AGE_MS = 3_600_000;

export interface DemoOptions {
  /** Port of the agent; 0 takes a free one. */
  port: number;
  /** Requests per second to the services. */
  rate: number;
  version: string;
  /** Told what has been started, in a line each. */
  say: (text: string) => void;
}

export class Demo {
  readonly poolDir: string;
  /** The agent's. */
  readonly socket: string;
  readonly #folder: string;
  #lakeUrl = "";
  readonly #children: Pick<Child, "stop">[] = [];
  readonly #removeFolder: () => void;

  /** Removes what demos have left that were killed. */
  constructor(readonly options: DemoOptions) {
    for (const left of removeLeftovers(SHM_DIR)) {
      options.say(`removed ${left}, which a demo that was killed had left`);
    }
    // All in shared memory, for the temporary directory may be read-only.
    const folder = mkdtempSync(`${SHM_DIR}/${DEMO_PREFIX}`);
    this.#folder = folder;
    this.poolDir = join(folder, "pools");
    this.socket = join(folder, DEMO_SOCKET);
    this.#removeFolder = () => rmSync(folder, { recursive: true, force: true });
    // Also if an orderly shutdown is abandoned.
    process.once("exit", this.#removeFolder);
  }

  /** @throws Error when a part of it does not start; the others are left to {@link close} */
  async start(): Promise<void> {
    const { rate, say } = this.options;
    // Before the agent, which ships events to it, and so ending after it.
    this.#lakeUrl = await this.#startService("lake", ["--dir", join(this.#folder, "lake")], []);
    say(`lake: ask it with microview query --lake ${this.#lakeUrl}`);
    const agent = await this.#startAgent();
    say(`agent: http://127.0.0.1:${agent.port}/openapi, metrics at /metrics`);
    const urls: Record<string, string> = {};
    for (const name of SERVICES) {
      const targets = name === "gateway" ? [urls["auth"]!, urls["orders"]!] : [];
      const place = ["--socket", this.socket, "--pool-dir", this.poolDir];
      const port = await this.#startService(name, place, targets);
      urls[name] = `http://127.0.0.1:${port}`;
      say(`${name}: ${urls[name]}`);
    }
    await this.#startService("load", ["--rate", String(rate)], [urls["gateway"]!]);
  }

  /** Where the demo's lake is asked. */
  get lakeUrl(): string {
    return this.#lakeUrl;
  }

  /** Ends all of it. The last one started is the first to end, so that nobody asks who has gone. */
  async close(): Promise<void> {
    for (const child of this.#children.toReversed()) await child.stop();
    this.#removeFolder();
    process.off("exit", this.#removeFolder);
  }

  /** @returns the first line that it writes: its port or its URL, where it has one */
  async #startService(name: string, flags: string[], targets: readonly string[]): Promise<string> {
    const called = targets.flatMap((url) => ["--target", url]);
    const child = await startChild(["demo-service", "--name", name, ...flags, ...called]);
    this.#children.push(child);
    return child.line;
  }

  async #startAgent(): Promise<Agent> {
    const { port, version } = this.options;
    const agent = await Agent.start({
      socketPath: this.socket,
      poolDir: this.poolDir,
      host: "127.0.0.1",
      port,
      dataPort: 0,
      poolMode: 0o600,
      strategy: "page",
      limits: DEFAULT_LIMITS,
      scanIntervalMs: 200,
      insecure: false,
      version,
      log: createLog("error", false),
      shipping: {
        lake: this.#lakeUrl,
        spool: join(this.#folder, "spool"),
        spoolBytes: SPOOL_BYTES,
        spoolAgeMs: SPOOL_AGE_MS,
        host: hostname(),
        isForAll: false,
      },
    });
    this.#children.push(agent);
    return agent;
  }
}
