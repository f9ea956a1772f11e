// The agent's flags as errors and hints name them, for the guard that serves it.

import type { GuardFlags } from "../guard/index.ts";

export const FLAGS: GuardFlags = {
  allowHost: "--allow-host",
  maxRequests: "--max-requests",
  cert: "--tls-cert",
  key: "--tls-key",
  clientCa: "--tls-client-ca",
};

export const REST_FLAGS = { host: "--host", port: "--port" };
export const DATA_FLAGS = { host: "--host", port: "--data-port" };

export const HINTS = {
  exposed:
    "give --token-file FILE or --tls-cert and --tls-key, listen on 127.0.0.1, or give --insecure",
  register:
    "services attach through the agent's Unix socket; for the prototype's clients start it with --allow-register",
  socket: "give a shorter --socket, which services find by MICROVIEW_SOCKET",
};
