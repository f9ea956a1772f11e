// What a caller of one of our servers is told when he is refused.

import type { ApiError } from "../layout/index.ts";

/** An error with a code for programs, a sentence and a hint for people, and the HTTP status that goes with it. */
export class CallError extends Error implements ApiError {
  override readonly name: string = "CallError";

  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
    readonly status = 400,
  ) {
    super(message);
  }
}
