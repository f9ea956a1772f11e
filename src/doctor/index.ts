// Examines what this host offers and lacks for microview, each with what to do.

export type { HealthAnswer } from "./agent.ts";
export { type ExamineOptions, examine } from "./examine.ts";
export type { Finding, Level } from "./finding.ts";
export { type Host, hostAt } from "./host.ts";
