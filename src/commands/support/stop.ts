// Ends a long-running subcommand in order: Ctrl-C, SIGTERM and a closed stdout abort one signal,
// which the subcommand watches. A second Ctrl-C ends the process at once.

/** Exit code of a process ended by SIGINT, as shells count it. */
const INTERRUPTED = 130;

let controller: AbortController | undefined;
let hungUp: (() => void) | undefined;

/**
 * The signal that says "finish, clean up, return". Taken once per process; asking again gives the
 * same one. Its reason is `SIGINT`, `SIGTERM`, `SIGHUP` or `EPIPE`.
 */
export function stopSignal(): AbortSignal {
  if (controller !== undefined) return controller.signal;
  const stopping = new AbortController();
  controller = stopping;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (name === "SIGHUP" && hungUp !== undefined) return hungUp();
      if (stopping.signal.aborted) process.exit(INTERRUPTED);
      stopping.abort(name);
    });
  }
  return stopping.signal;
}

/** From now on SIGHUP ends nothing, but calls `handler`, as daemons that read their files anew have it. */
export function onHangUp(handler: () => void): void {
  hungUp = handler;
}

/** Resolves when a signal is aborted. */
export function once(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/**
 * Ends quietly when whoever reads our output has gone, as in `microview collect | head -1`: a
 * subcommand that watches {@link stopSignal} is told, any other is ended. Called by the root.
 */
export function endQuietlyOnClosedOutput(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    if (controller === undefined) process.exit(0);
    controller.abort("EPIPE");
  });
}
