// Looks into the pools of this host without an agent: what is in them, raw or added up, and whose they are.

export { type FoundFile, findPools, readersOwners } from "./discovery.ts";
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
