// A line on stderr about what does not work. It is written synchronously to the descriptor: a failure is ignored, while
// a failing stream would end the service with another exit code.

import { writeSync } from "node:fs";
import type { ApiError } from "../rest/index.ts";

const STDERR = 2;

/** Writes a warning to stderr, if that can be written. */
export function warnOnStderr({ message, hint }: ApiError): void {
  try {
    writeSync(STDERR, `microview: ${message}${hint ? ` (${hint})` : ""}\n`);
  } catch {
    // Full, closed, or nobody reads it.
  }
}
