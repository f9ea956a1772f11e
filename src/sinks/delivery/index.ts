// How what is pushed reaches a receiver: what waits, in memory or in files, and who sends it, waits and tries again.

export { type Backlog, MemoryBacklog, type Request } from "./backlog.ts";
export type { ExportEnd, Exporter } from "./push.ts";
export { WriteAhead, WriteAheadError } from "./write-ahead.ts";
