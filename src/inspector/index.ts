// Looks into this host without an agent: its pools, and whether it has what microview needs.

export { findPools } from "./discovery.ts";
export {
  type ExamineOptions,
  examine,
  type Finding,
  type HealthAnswer,
  type Host,
  hostAt,
  type Level,
} from "./doctor/index.ts";
export { poolJson, withoutOddNumbers } from "./json.ts";
export { type Look, Looker } from "./look.ts";
export { PoolFile } from "./pool-file.ts";
export type { ProcessReport } from "./processes.ts";
export {
  hexOffset,
  type RawField,
  type RawPage,
  type RawRecord,
  rawHeader,
  rawJournal,
  rawPages,
  rawRecords,
} from "./raw.ts";
export {
  type MetricReport,
  type PoolReport,
  reportPool,
  type SeriesReport,
  type ServiceReport,
  type WriterReport,
} from "./report.ts";
