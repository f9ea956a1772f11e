// What can go wrong in an agent, as the caller of the REST API is told it.

import { CallError } from "../guard/index.ts";

export class AgentError extends CallError {
  override readonly name: string = "AgentError";
}

/** The answer when the fault is ours. */
export const FAILURE = new AgentError(
  "internal",
  "the agent failed to answer",
  "its log says why",
  500,
);

/** A limit is reached: nothing was changed. Counted by code in the agent's own metrics. */
export class LimitError extends AgentError {
  override readonly name = "LimitError";

  constructor(code: string, message: string, hint: string, status = 507) {
    super(code, message, hint, status);
  }
}

/** An application does not exist, or does not for the one who asks: both are told alike. */
export function unknownApp(app: string): AgentError {
  return new AgentError(
    "unknown-app",
    `there is no application ${JSON.stringify(app.slice(0, 80))} on this host`,
    "GET /v1/apps lists them; one comes into being when its first writer attaches",
    404,
  );
}
