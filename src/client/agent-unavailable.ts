// Why a call to the agent has come to nothing, in words: what is wrong with its socket, and what to do.

import { accessSync, constants, type Stats, statSync } from "node:fs";
import { SOCKET_PATH_BYTES_MAX } from "../layout/index.ts";
import type { ApiError } from "../rest/index.ts";

const START = "start `microview agent`";
const NAME = "name its socket by MICROVIEW_SOCKET";
const MEANWHILE =
  "metrics are kept in private memory until then, and events in a ring, which refuses new ones once it is full";

/** Code of the error for an answer that no agent gives. */
export const NOT_AN_AGENT = "NotAnAgent";

/** Nobody has answered a call; it will be tried again. */
export class AgentUnavailable extends Error {
  override readonly name = "AgentUnavailable";
}

/** Why the agent has not answered. @param error what the connection has thrown; undefined while it waits */
export function whyUnavailable(socketPath: string, error?: unknown): ApiError {
  const { code, name } = (error ?? {}) as {
    code?: string;
    name?: string;
  };
  const path = socketPath;
  const bytes = new TextEncoder().encode(path).length;
  if (bytes > SOCKET_PATH_BYTES_MAX) {
    return absent(
      `the path of its socket has ${bytes} bytes, and the system allows ${SOCKET_PATH_BYTES_MAX}: ${path}`,
      "start the agent with a shorter --socket, and name that by MICROVIEW_SOCKET",
    );
  }
  let found: Stats;
  try {
    found = statSync(path);
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EACCES"
      ? absent(`this user may not look for ${path}`, `let this user enter its folder, or ${NAME}`)
      : absent(`there is no ${path}`, `${START}, or ${NAME}`);
  }
  if (!found.isSocket()) return absent(`${path} is no socket`, NAME);
  if (error === undefined || name === "TimeoutError") {
    return absent(
      `the program that listens on ${path} does not answer`,
      "see the agent's log; restart it: services lose nothing",
    );
  }
  if (code === "EACCES" || code === "EPERM" || !isWritable(path)) {
    return absent(
      `this user may not connect to ${path}`,
      "join the group that owns the socket: see `ls -l` and the agent's --group",
    );
  }
  if (code === NOT_AN_AGENT || error instanceof SyntaxError) {
    return absent(`what listens on ${path} does not answer as an agent does`, NAME);
  }
  if (code === "EAGAIN") {
    return absent(`too many wait for the agent on ${path}`, "this service tries again by itself");
  }
  if (code === "ConnectionClosed" || code === "ECONNRESET" || code === "EPIPE") {
    return absent(`the agent on ${path} closes connections without an answer`, "see its log");
  }
  return absent(
    `nobody listens on ${path}; an agent that died has left it`,
    `${START}, or ${NAME}`,
  );
}

/** Why the pool that the agent has named cannot be used here. */
export function whyUnreachable(error: Error): ApiError {
  const { code } = error as NodeJS.ErrnoException;
  const hint =
    code === "ENOENT"
      ? "let this process see the pools of the agent: in a container, mount the application's folder and name it by MICROVIEW_POOL_DIR"
      : code === "EACCES" || code === "EPERM"
        ? "join the group that owns the pools: see `ls -l` and the agent's --group"
        : "this service tries again";
  return { code: "attach-failed", message: error.message, hint: `${hint}; ${MEANWHILE}` };
}

function absent(message: string, hint: string): ApiError {
  return { code: "no-agent", message, hint: `${hint}; ${MEANWHILE}` };
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
