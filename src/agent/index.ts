// The agent: owns pools, hands out pages, notices deaths; never touches a live value.

export { Agent, type AgentOptions } from "./agent.ts";
export { AgentRunningError, isServed } from "./instance-lock.ts";
export { groupId } from "./pool/group-id.ts";
export { DEFAULT_LIMITS, type Limits } from "./registry/limits.ts";
export type { StrategyName } from "./registry/strategies/index.ts";
