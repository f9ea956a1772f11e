// Who may call, for every server of ours: where it may listen, tokens and what they grant, limits, refusals and audit.

export {
  type AccessOptions,
  type Anonymous,
  checkExposure,
  ExposedError,
  listensOnLoopback,
} from "./access.ts";
export { Audit } from "./audit.ts";
export { CallError } from "./errors.ts";
export { GATE_LIMITS, Gate, type GateLimits, TooManyError } from "./gate.ts";
export {
  ANYONE,
  ANYONE_REGISTERING,
  type Grant,
  grantOf,
  LOCAL,
  NOBODY,
  withGrant,
} from "./grants.ts";
export { HostNames } from "./host-names.ts";
export { checkHost, checkPort, checkPorts, checkSocketPath, ListenError } from "./listening.ts";
export { createLog, type Log, type LogLevel } from "./log.ts";
export { KnownPaths, MethodError } from "./methods.ts";
export { fitConnections } from "./open-files.ts";
export { Buckets } from "./rate.ts";
export { Refusals } from "./refusals.ts";
export { type ConnectionLimits, RestConnections } from "./rest-connections.ts";
export { checkScope, type Need, needs, needsOf, type Scope } from "./scopes.ts";
export { addressed, LIVENESS_PATH, pathOf } from "./target.ts";
export { CertificateEnd, checkTls, serverTls, type TlsIdentity } from "./tls.ts";
export { TokenKeeper } from "./token-keeper.ts";
export {
  ExpiredTokenError,
  type KnownToken,
  type TokenEntry,
  type TokenListing,
  Tokens,
} from "./tokens.ts";
export { callerOf, WrongTokens } from "./wrong-tokens.ts";
