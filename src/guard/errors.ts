// The error that a server gives to a caller that it refuses.

import type { ApiError } from "../rest/index.ts";

/** An error with a code for programs, a sentence and a hint for people, and the HTTP status that goes with it. */
export class CallError extends Error implements ApiError {
  override readonly name: string = "CallError";
  /** Headers of the response. */
  readonly headers: Readonly<Record<string, string>> = {};

  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
    readonly status = 400,
  ) {
    super(message);
  }
}

/** The response with an error. */
export function responseOf({ code, message, hint, status, headers }: CallError): Response {
  return Response.json({ code, message, hint }, { status, headers });
}
