// Runs a command with all that it starts, for a bounded time. For scripts/test.ts, whose closing line comes whatever hangs.

import { tmpdir } from "node:os";
import { join } from "node:path";

/** How far what is shown may be behind. */
const SHOW_EVERY_MS = 100;

export interface Bounded {
  exitCode: number;
  /** What it wrote to both streams, in their order. */
  output: string;
  /** How it ended, where that was not by itself. */
  how: string | undefined;
}

/** Groups of processes that run now. */
const running = new Set<number>();

let files = 0;

/**
 * @param shows whether its output is shown as it comes
 * @param limitMs after which it is killed, with all that it has started
 */
export async function runBounded(
  command: readonly string[],
  { shows, limitMs }: { shows: boolean; limitMs: number },
): Promise<Bounded> {
  // A file, because a pipe stays open as long as any process that was started has it.
  const kept = Bun.file(join(tmpdir(), `microview-step-${process.pid}-${files++}`));
  const child = Bun.spawn(["sh", "-c", 'exec "$@" 2>&1', "sh", ...command], {
    env: process.env,
    stdin: "ignore",
    stdout: kept,
    stderr: "inherit",
    detached: true,
  });
  running.add(child.pid);
  let how: string | undefined;
  const timer = setTimeout(() => {
    how = `it did not end within ${Math.round(limitMs / 1000)} s`;
    kill(child.pid, "SIGKILL");
  }, limitMs);
  const showing = shows ? show(kept.name!, child.exited) : undefined;
  const exitCode = await child.exited;
  clearTimeout(timer);
  running.delete(child.pid);
  await showing;
  if (child.signalCode !== null) how ??= `it was ended by ${child.signalCode}`;
  const output = await kept.text();
  await kept.delete();
  return { exitCode, output, how };
}

/** Copies to our output what is written to a file, until what writes it has ended. */
async function show(path: string, ended: Promise<unknown>): Promise<void> {
  let isOver = false;
  const over = ended.then(() => {
    isOver = true;
  });
  for (let shown = 0; ; ) {
    const wasOver = isOver;
    const bytes = await Bun.file(path).slice(shown).bytes();
    shown += bytes.length;
    // Bun.write begins a file again at each call.
    if (bytes.length > 0) await new Promise((written) => process.stdout.write(bytes, written));
    if (wasOver) return;
    await Promise.race([over, Bun.sleep(SHOW_EVERY_MS)]);
  }
}

/** Ends what runs, with all that it has started. */
export function endRunning(signal: NodeJS.Signals): void {
  for (const group of running) kill(group, signal);
}

function kill(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // It has ended meanwhile.
  }
}
