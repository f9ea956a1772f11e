// A line on stderr about what does not work. Synchronously and by the descriptor: whether it can be written is no
// matter, and a stream that fails would end the service with another exit code.

import { writeSync } from "node:fs";
import type { ApiError } from "../layout/index.ts";

const STDERR = 2;

/** Tells people what does not work, if anybody can be told. */
export function warnOnStderr({ message, hint }: ApiError): void {
  try {
    writeSync(STDERR, `microview: ${message}${hint ? ` (${hint})` : ""}\n`);
  } catch {
    // Full, closed, or nobody reads it.
  }
}
