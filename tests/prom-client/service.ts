// Talks to program.ts: a service in a process of its own, whose client is made again and ends with it.

import type { SharingOptions } from "../../src/prom-client/sharing.ts";
import type { TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";

/** What `configure()` takes on a host: its socket and folder, the names that tests look at, and more. */
/** Undefined takes the default. */
type Options = { [Name in keyof SharingOptions]?: SharingOptions[Name] | undefined };

export function options(host: TestHost, more: Options = {}): SharingOptions {
  const { socketPath: socket, poolDir } = host;
  // Only what a test does is to ask for values.
  return {
    app: "shop",
    service: "auth",
    socket,
    poolDir,
    collectIntervalMs: 0,
    ...more,
  } as SharingOptions;
}

export class Service {
  /** What it was warned of. */
  readonly warnings: string[] = [];
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: Lines;

  constructor(host: TestHost, more: Options = {}) {
    this.#child = host.run("tests/prom-client/program.ts", options(host, more)) as never;
    this.#lines = new Lines(this.#child.stdout);
  }

  /** Runs code that sees `client` and `kept`. @returns what it returns, as JSON carries it */
  async run<T = unknown>(code: string): Promise<T> {
    this.#child.stdin.write(`${JSON.stringify(code)}\n`);
    this.#child.stdin.flush();
    for (;;) {
      const { result, warning } = JSON.parse(await this.#lines.next());
      if (warning === undefined) return result;
      this.warnings.push(warning);
    }
  }

  /** Waits until all metrics have their places. */
  async ready(): Promise<void> {
    await this.run("await client.microview().ready");
  }

  async end(signal?: NodeJS.Signals): Promise<void> {
    if (signal === undefined) this.#child.stdin.end();
    else this.#child.kill(signal);
    await this.#child.exited;
  }
}
