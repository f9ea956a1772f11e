// The catalogue, for the rest of the lake.

export { Catalogue, CatalogueConflictError, IdentityError } from "./catalogue.ts";
export { isOwnIdOf } from "./own-ids.ts";
export type {
  AddedSegment,
  BlockRow,
  BlockView,
  LiveFile,
  NewPartition,
  NewSegment,
  PartitionRow,
  ProcessRow,
  StreamRow,
  TimeRange,
} from "./rows.ts";
export { CatalogueVersionError } from "./schema.ts";
export { type SetAside, ViewState } from "./view-state.ts";
