// The contract: page, pool, directory, histogram, wire and REST formats. Pure code over buffers, no I/O.

export type {
  ApiError,
  AttachRequest,
  AttachResponse,
  Extent,
  HealthResponse,
  HoldRequest,
  PlacedRun,
  PreviousPlace,
  Problem,
  QueuePairRequest,
  QueuePairResponse,
  RdmaEndpoint,
  RdmaRegion,
  RdmaResponse,
  RdmaSessionMessage,
  RegionsResponse,
  RegisterRequest,
  RegisterResponse,
  RegisterResult,
  ReleaseRequest,
  ReleaseResponse,
  SeriesRelease,
  SeriesRequest,
} from "./api.ts";
export { ByteReader, ByteWriter, cutTo, DamageError, utf8Bytes } from "./bytes.ts";
export { ClashLog } from "./clash-log.ts";
export {
  HEADER,
  HEADER_BYTES_USED,
  HEADER_LIVE_BYTES,
  HEADER_LIVE_OFFSET,
  JOURNAL,
  KNOWN_FEATURES,
  LAYOUT_VERSION,
  LIMITS,
  PAGE,
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PAGE_HEADER_SLOTS,
  PAGE_MAGIC,
  POOL_DEFAULTS,
  POOL_MAGIC,
  RECORD,
  RECORD_HEADER_BYTES,
  SKIPPABLE_RECORDS,
  SLOT_BYTES,
  SLOTS_PER_PAGE,
  SLOTS_PER_PAGE_STRIDE,
} from "./constants.ts";
export {
  covers,
  type Damage,
  Directory,
  type DirectoryMetric,
  type LogOrigin,
  type Metric,
  type Run,
  skippedRecords,
  type Writer,
} from "./directory.ts";
export type { ExportCounters, Protocol } from "./export-counters.ts";
export {
  BUCKETS,
  type Buckets,
  escapeLabel,
  exposedBounds,
  formatBound,
  formatValue,
  type ShownBuckets,
  shownBuckets,
} from "./exposition.ts";
export { foreignWords } from "./foreign-words.ts";
export { Gather } from "./gather.ts";
export { globs } from "./globs.ts";
export {
  decodeHeader,
  decodeState,
  directoryHalf,
  directoryWord,
  encodeHeader,
  isReadableVersion,
  PoolFormatError,
  type PoolGeometry,
  type PoolHeader,
  type PoolSizes,
  type PoolState,
  pageOffset,
  poolGeometry,
  READABLE_VERSIONS,
  slotIndex,
} from "./header.ts";
export {
  bucketQuantile,
  DEFAULT_BOUNDS,
  type LogLinearOptions,
  type LogLinearShape,
  logLinearBounds,
  logLinearIndex,
  logLinearShape,
} from "./histogram.ts";
export { HistogramSlots } from "./histogram-slots.ts";
export {
  AGENT_APP,
  CONTAINER_ID_SHOWN,
  INFO_LABELS,
  INFO_METRIC,
  identityOfLabels,
  type ProcessesResponse,
  type ProcessIdentity,
  UNKNOWN_IDENTITY,
} from "./identity.ts";
export { parseFlatJson } from "./json.ts";
export { splitList } from "./list.ts";
export {
  COMBINES,
  type Combine,
  checkAppName,
  checkDefinition,
  checkLabelValue,
  checkServiceName,
  DefinitionError,
  DIALECT,
  type Dialect,
  definitionConflict,
  initialValue,
  isAppName,
  isAttributeKey,
  isInstrumentName,
  KINDS,
  type Kind,
  type MetricDefinition,
  nearestAppName,
  nearestServiceName,
  SCOPE_LABELS,
  sameLabelNames,
  shapeOf,
  slotsPerSeries,
} from "./metric.ts";
export {
  appOfShmFile,
  DEFAULT_PORT,
  defaultSocketPath,
  formatEndpoint,
  type NamedPool,
  poolPath,
  poolsNamed,
  SHM_DIR,
  SOCKET_PATH_BYTES_MAX,
  shmLinkName,
  sparePoolPath,
} from "./paths.ts";
export { type BuiltPlace, type BuiltWriter, PoolBuilder } from "./pool-builder.ts";
export {
  escapeLabelName,
  escapeName,
  familyName,
  labelName,
  NAME_SCHEMES,
  type NameScheme,
  type PrometheusNames,
  prometheusNames,
  sampleLead,
} from "./prometheus-names.ts";
export { ANY_RANGE, logLinearOptions, millisecondsPer } from "./ranges.ts";
export {
  MERGE_GAP_SLOTS,
  mappedPlan,
  NOT_READ,
  type PlannedDirectory,
  planBytes,
  planRead,
  type ReadPlan,
  type SlotRange,
  snapshotIndex,
} from "./read-plan.ts";
export {
  type BindRecord,
  type GrantRecord,
  isUnlocked,
  RecordWriter,
  readBind,
  readGrant,
  readMetric,
  readService,
  readWriter,
  WRITER_FLAGS,
  WRITER_SECRET_HASH_BYTES,
  type WriterRecord,
} from "./records.ts";
export { freeName, type Origin } from "./sample-labels.ts";
export {
  type AddedLabel,
  describeClash,
  type FamilyType,
  familyTypeOf,
  type NameClash,
  type NamedMetric,
  SampleNames,
  type SampleType,
  type Shown,
} from "./sample-names.ts";
export { counterFamilyOf, sampleNamesOf } from "./sample-types.ts";
export { LOCAL_SOURCE, type PoolSnapshot, poolKey, type Slots } from "./snapshot.ts";
export { countingSince } from "./starts.ts";
export {
  placeOf,
  type SeriesSince,
  Structure,
  type StructureMetric,
  type StructureNames,
  type StructureOptions,
  type StructureRun,
  Structures,
  type StructureWriter,
  type Wants,
} from "./structure.ts";
export { type StructureNews, StructureReceiver, StructureSender } from "./structure-news.ts";
export { threadFault } from "./thread-fault.ts";
export {
  encodeHello,
  encodeRange,
  encodeRequest,
  getU64,
  HELLO_BYTES,
  HELLO_REPLY_BYTES,
  isReadableWire,
  OP,
  RANGE_BYTES,
  REQUEST_BYTES,
  RESPONSE_BYTES,
  STATUS,
  STATUS_TEXT,
  setU64,
  WIRE_LIMITS,
  WIRE_MAGIC,
  WIRE_VERSION,
  type WirePool,
} from "./wire.ts";
