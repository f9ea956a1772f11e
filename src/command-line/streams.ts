// What a program does when its output cannot be written: a pipe whose reader has gone ends it quietly, as with other
// tools, and any other error is one line. Called by the program before anything is written.

import { stopFor } from "./stop.ts";

/** As shells count the end by SIGPIPE. */
const BROKEN_PIPE = 141;

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "this user's quota is used up",
  EFBIG: "the file has become too large",
  EIO: "the device does not answer",
};

/** A subcommand that watches the stop signal finishes; any other is ended. */
export function guardStreams(): void {
  let hasFailed = false;
  process.stdout.on("error", ({ code = "", message }: NodeJS.ErrnoException) => {
    if (hasFailed) return;
    hasFailed = true;
    const isGone = code === "EPIPE";
    if (!isGone) {
      const [reason = code] = [REASONS[code] ?? message.split("\n")[0]];
      process.stderr.write(`microview: cannot write to standard output: ${reason}\n`);
    }
    process.exitCode = isGone ? BROKEN_PIPE : 1;
    if (!stopFor(code)) process.exit();
  });
  // Nobody reads it.
  process.stderr.on("error", () => {});
}
