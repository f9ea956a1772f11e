// How what is pushed reaches a receiver: what waits, in memory or in files, and who sends it, waits and tries again.

export { type Backlog, MemoryBacklog, type PushRequest } from "./backlog.ts";
export type { ExportCounters } from "./export-counters.ts";
export { basicFrom, bearerFrom, headersFrom } from "./header-files.ts";
export type { PushSink } from "./push-sink.ts";
export { WriteAhead, WriteAheadError } from "./write-ahead.ts";
