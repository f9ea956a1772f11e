// Who may call, for every server of ours: where it may listen, tokens and what they grant, limits, refusals and audit.
//
//   const guard = new Guard({ tokens, anyone: ANYONE, limits: ADMISSION_LIMITS, flags, log, transportOf: () => "listen" });
//   const routes = new Routes(() => [{ method: "GET", path: "/metrics", detail: needs("read") }], { hint: "GET /metrics" });
//   const server = serve(guard, { host, port, limits: CONNECTION_LIMITS, maxBodyBytes: 0, routes, answer, failure });
//   server.keepHouse();   // or guard.look() and server.sweep() in a round of the program's own
//   await server.stop();
//
// All that a server gets from this is in tests/guard/contract.test.ts.

export { type AccessOptions, checkExposure, ExposedError, listensOnLoopback } from "./access.ts";
export { AccessFiles } from "./access-files.ts";
export { ADMISSION_LIMITS, type AdmissionLimits } from "./admission.ts";
export { CONNECTION_LIMITS, type ConnectionLimits, fitConnections } from "./connections.ts";
export { CallError, responseOf } from "./errors.ts";
export { ANYONE, anyone, type Grant, grantOf, LOCAL, NOBODY } from "./grants.ts";
export { Guard, type GuardFlags } from "./guard.ts";
export { checkPort, checkSocketPath, ListenError } from "./listening.ts";
export { createLog, type Log } from "./log.ts";
export { OwnerSecret, ownerFile, readOwnerSecret } from "./owner.ts";
export { Buckets } from "./rate.ts";
export { Recurring } from "./recurring.ts";
export type { Renewal } from "./renewal.ts";
export { Routes } from "./routes.ts";
export { DEFAULT_SCOPES, type Need, needs } from "./scopes.ts";
export { type GuardedServer, serve } from "./server.ts";
export { sharerOf } from "./sharer.ts";
export { checkTls, serverTls, type TlsIdentity } from "./tls.ts";
export { readToken } from "./token-file.ts";
export { ExpiredTokenError, type KnownToken, type TokenEntry, Tokens } from "./tokens.ts";
export { startTunnel, type Tunnel, type TunnelGuard, type TunnelStream } from "./tunnel.ts";
export { Turns } from "./turns.ts";
export { callerOf, WrongTokens } from "./wrong-tokens.ts";
