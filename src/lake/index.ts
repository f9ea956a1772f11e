// The lake: takes events of many hosts, keeps them in files, and answers SQL about them.

export { type BlobRange, type Blobs, FolderBlobs } from "./blobs/index.ts";
export {
  type BlockRow,
  type BlockView,
  Catalogue,
  CatalogueConflictError,
  type NewPartition,
  type NewSegment,
  type PartitionRow,
  type ProcessRow,
  type StreamRow,
  type TimeRange,
} from "./catalogue/index.ts";
export type { Retention } from "./context.ts";
export { defaultLakeDir, LakeFolder, LakeFolderError } from "./folder.ts";
export { LAKE_GUARD_FLAGS, Lake, type LakeOptions, startLake } from "./lake.ts";
export {
  beginConfined,
  DEFAULT_QUERY_LIMITS,
  FORMATS,
  type Format,
  type OpenTables,
  type Query,
  type QueryAudit,
  QueryError,
  type QueryErrorBody,
  type QueryLimits,
  type QueryRange,
  QueryRunner,
  type QueryRunnerOptions,
  type QueryTables,
  type RowTable,
  serveOneQuery,
} from "./query/index.ts";
export type { LakeStatus, ViewStatus } from "./serve/status.ts";
