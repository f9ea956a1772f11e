// Talks to program.ts.

import type { TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";

export class Service {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: Lines;

  constructor(host: TestHost, options: object = {}) {
    const { socketPath: socket, poolDir } = host;
    const all = { app: "shop", service: "auth", socket, poolDir, ...options };
    this.#child = host.run("tests/opentelemetry/program.ts", all) as never;
    this.#lines = new Lines(this.#child.stdout);
  }

  /** Runs code that sees `metrics`, `provider` and `kept`. @returns what it returns, as JSON carries it */
  async run<T = unknown>(code: string): Promise<T> {
    this.#child.stdin.write(`${JSON.stringify(code)}\n`);
    this.#child.stdin.flush();
    return JSON.parse(await this.#lines.next()).result;
  }

  async end(signal?: NodeJS.Signals): Promise<void> {
    if (signal === undefined) this.#child.stdin.end();
    else this.#child.kill(signal);
    await this.#child.exited;
  }
}
