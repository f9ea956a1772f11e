// The catalogue, for the rest of the lake.

export { Catalogue } from "./catalogue.ts";
export {
  CatalogueBusyError,
  CatalogueConflictError,
  CatalogueDamagedError,
  CatalogueError,
  CatalogueFullError,
  CatalogueVersionError,
  IdentityError,
} from "./errors.ts";
export { isOwnIdOf } from "./own-ids.ts";
export type {
  AddedSegment,
  BlockRow,
  BlockView,
  Bounds,
  LiveFile,
  NewPartition,
  NewSegment,
  PartitionRow,
  ProcessRow,
  StreamRow,
  TimeRange,
} from "./rows.ts";
export { BLOCK_VIEWS, COUNTS, MARKS, rowsFor } from "./rows.ts";
export { type SetAside, ViewState } from "./view-state.ts";
