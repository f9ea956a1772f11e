// The exit code of a question that was ended before its answer.

/** As shells count them. */
const SIGNALS: Readonly<Record<string, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/** The reader of the output may have gone instead of a signal; its code is set already. */
export function endedBy(stop: AbortSignal): void {
  const code = SIGNALS[String(stop.reason)];
  if (code !== undefined) process.exitCode = code;
}
