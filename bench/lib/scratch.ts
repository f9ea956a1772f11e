// What a benchmark leaves behind unless somebody clears it away: folders and child processes.
// They go when the benchmark ends, however it ends; children also end by themselves when their parent is killed.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Child = Bun.Subprocess<"pipe", "pipe", "inherit">;

/** How long a child may take to start, and to end after it was asked to. */
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 3_000;

export class Scratch {
  readonly #folders: string[] = [];
  readonly #children = new Set<Child>();
  readonly #onExit = () => this.#clearNow();

  constructor() {
    process.on("exit", this.#onExit);
  }

  /** A new folder on disk, or in shared memory. */
  folder(kind: "disk" | "memory"): string {
    const parent = kind === "memory" ? "/dev/shm" : tmpdir();
    const path = mkdtempSync(join(parent, `microview-bench-${process.pid}-`));
    this.#folders.push(path);
    return path;
  }

  /**
   * Starts a program of bench/lib, which gets its options as JSON and tells what it offers by a line of JSON.
   * It ends when its stdin does.
   */
  async start<Offer>(program: string, options: unknown): Promise<{ child: Child; offer: Offer }> {
    const child = Bun.spawn(
      [process.execPath, join(import.meta.dir, program), JSON.stringify(options)],
      {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    this.#children.add(child);
    const line = await Promise.race([
      firstLine(child.stdout),
      Bun.sleep(START_TIMEOUT_MS).then(() => undefined),
    ]);
    if (line === undefined) throw new Error(`${program} did not start`);
    return { child, offer: JSON.parse(line) as Offer };
  }

  /** Ends a child, in order if it will. */
  async stop(child: Child): Promise<void> {
    child.stdin.end();
    const ended = await Promise.race([
      child.exited.then(() => true),
      Bun.sleep(STOP_TIMEOUT_MS).then(() => false),
    ]);
    if (!ended) {
      child.kill("SIGKILL");
      await child.exited;
    }
    this.#children.delete(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.stop(child)));
    this.#clearNow();
    process.off("exit", this.#onExit);
  }

  #clearNow(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const path of this.#folders) rmSync(path, { recursive: true, force: true });
  }
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string | undefined> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let text = "";
  try {
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) return undefined;
      text += decoder.decode(value, { stream: true });
    }
  } finally {
    reader.releaseLock();
  }
  return text.slice(0, text.indexOf("\n"));
}
