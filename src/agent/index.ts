// The agent: owns pools, hands out pages, notices deaths; never touches a live value.

export { ExposedError, listensOnLoopback } from "./access.ts";
export { Agent, type AgentOptions } from "./agent.ts";
export { Audit } from "./audit.ts";
export { AgentError } from "./errors.ts";
export { Gate, TooManyError } from "./gate.ts";
export { ANYONE, type Grant } from "./grants.ts";
export { HostNames } from "./host-names.ts";
export { AgentRunningError, isServed } from "./instance-lock.ts";
export { DEFAULT_LIMITS, type Limits } from "./limits.ts";
export { checkPort, ListenError } from "./listening.ts";
export { createLog, type Log, type LogLevel } from "./log.ts";
export { MethodError } from "./methods.ts";
export { Recurring } from "./recurring.ts";
export { checkScope, type Scope } from "./scopes.ts";
export type { StrategyName } from "./strategies/index.ts";
export { addressed, LIVENESS_PATH, pathOf } from "./target.ts";
export { checkTls, serverTls, type TlsIdentity } from "./tls.ts";
export { TokenKeeper } from "./token-keeper.ts";
export type { TokenEntry } from "./tokens.ts";
