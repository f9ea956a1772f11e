// A process that logs lines of JSON to standard error, which are read while it runs. Agents (host.ts) and lakes (lakes.ts)
// are such processes.

import { surroundings } from "./surroundings.ts";

/** A line of a log. */
export interface LogLine {
  level: string;
  message: string;
  [field: string]: unknown;
}

/** Takes care that a child ends with its test, as a TestHost does. */
interface Owner {
  own<T extends Bun.Subprocess>(child: T): T;
}

export class LoggedProcess {
  readonly child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  readonly log: LogLine[] = [];
  /** What it wrote that is no line of its log. */
  stray = "";
  readonly #ended: Promise<void>;

  constructor(owner: Owner, command: string[]) {
    this.child = owner.own(
      Bun.spawn(command, {
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
        env: surroundings(),
      }),
    );
    this.#ended = this.#readLog();
  }

  find(message: string): LogLine | undefined {
    return this.log.find((line) => line.message === message);
  }

  /** Ends it by a signal and waits until it has gone and all that it wrote is read. */
  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<number | null> {
    this.child.kill(signal);
    await this.exited();
    return this.child.exitCode;
  }

  /** Waits until it has gone and all that it wrote is read. */
  async exited(): Promise<number> {
    const code = await this.child.exited;
    await this.#ended;
    return code;
  }

  async #readLog(): Promise<void> {
    let rest = "";
    for await (const chunk of this.child.stderr.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line.startsWith("{")) this.log.push(JSON.parse(line));
        else this.stray += `${line}\n`;
      }
    }
    this.stray += rest;
  }
}
