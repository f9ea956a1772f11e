// How requests reach a receiver: backlogs in memory and in files, the sender that empties them, and the headers that say
// who we are. For the sinks that send.

export { type Backlog, MemoryBacklog, type PushRequest } from "./backlog.ts";
export type { ExportCounters } from "./export-counters.ts";
export { basicFrom, bearerFrom, headersFrom } from "./header-files.ts";
export type { PushSink } from "./push-sink.ts";
export { Sender } from "./sender.ts";
export { WriteAhead, WriteAheadError } from "./write-ahead.ts";
