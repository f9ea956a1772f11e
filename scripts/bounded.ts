// Runs a command with all that it starts, for a bounded time. For scripts/test.ts, whose closing line comes whatever hangs.

export interface Bounded {
  exitCode: number;
  /** What it wrote to both streams, in their order, where that was asked for. */
  output: string;
  /** How it ended, where that was not by itself. */
  how: string | undefined;
}

/** Groups of processes that run now. */
const running = new Set<number>();

/**
 * @param shows whether its output goes where ours goes, instead of being kept
 * @param limitMs after which it is killed, with all that it has started
 */
export async function runBounded(
  command: readonly string[],
  { shows, limitMs }: { shows: boolean; limitMs: number },
): Promise<Bounded> {
  const kept = shows
    ? undefined
    : Bun.file(`${process.env["TMPDIR"] ?? "/tmp"}/microview-step-${process.pid}`);
  // A file, because a pipe stays open as long as any process that was started has it.
  const words = kept === undefined ? command : ["sh", "-c", 'exec "$@" 2>&1', "sh", ...command];
  const child = Bun.spawn([...words], {
    env: process.env,
    stdin: "ignore",
    stdout: kept ?? "inherit",
    stderr: "inherit",
    detached: true,
  });
  running.add(child.pid);
  let how: string | undefined;
  const timer = setTimeout(() => {
    how = `it did not end within ${Math.round(limitMs / 1000)} s`;
    kill(child.pid, "SIGKILL");
  }, limitMs);
  const exitCode = await child.exited;
  clearTimeout(timer);
  running.delete(child.pid);
  if (child.signalCode !== null) how ??= `it was ended by ${child.signalCode}`;
  const output = (await kept?.text()) ?? "";
  await kept?.delete();
  return { exitCode, output, how };
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
