// The contract: page, pool, directory, histogram and wire formats. Pure code over buffers, no I/O.

export {
  ByteReader,
  ByteWriter,
  cutTo,
  DamageError,
  hex8,
  UnknownFormatError,
  utf8Bytes,
} from "./bytes.ts";
export {
  HEADER,
  HEADER_BYTES_USED,
  HEADER_LIVE_BYTES,
  HEADER_LIVE_OFFSET,
  JOURNAL,
  LAYOUT_VERSION,
  LIMITS,
  PAGE,
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PAGE_HEADER_SLOTS,
  PAGE_MAGIC,
  POOL_DEFAULTS,
  RECORD,
  RECORD_HEADER_BYTES,
  SKIPPABLE_RECORDS,
  SLOT_BYTES,
  SLOTS_PER_PAGE,
  SLOTS_PER_PAGE_STRIDE,
} from "./constants.ts";
export { ANY_RANGE, logLinearOptions, millisecondsPer } from "./definitions/default-range.ts";
export {
  DEFAULT_BOUNDS,
  type LogLinearOptions,
  type LogLinearShape,
  logLinearBounds,
  logLinearShape,
} from "./definitions/histogram.ts";
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
} from "./definitions/metric.ts";
export {
  BLOCK_WORDS_MAX,
  BlockBuilder,
  type BuiltBlock,
  type RingWords,
} from "./events/block/build.ts";
export {
  BLOCK_ROWS_MAX,
  type BlockColumns,
  blankCloses,
  blankLogs,
  blankMeasures,
  blankSpans,
  type CloseColumns,
  type LogColumns,
  type MeasureColumns,
  SPAN_STATUSES,
  type SpanColumns,
  type TextColumn,
} from "./events/block/columns.ts";
export { type DecodedBlock, decodeBlock, type Unzstd } from "./events/block/decode.ts";
export { encodeBlock, type Zstd } from "./events/block/encode.ts";
export {
  BLOCK_LIMITS,
  BLOCK_PAYLOAD_VERSION,
  BLOCK_PREFIX,
  BLOCK_PREFIX_BYTES,
  BLOCK_VERSION,
  type BlockHeader,
  type BlockOrigin,
  type BlockProcess,
  type BlockRows,
  type BlockStream,
  blockId,
  decodeBlockHeader,
  headerApp,
  headerLeft,
  headerText,
} from "./events/block/header.ts";
export {
  decodeSegment,
  encodeSegment,
  frameHead,
  isSegmentLike,
  readSegment,
  SEGMENT_BYTES_MAX,
  SEGMENT_FRAME_HEAD_BYTES,
  SEGMENT_HEAD_BYTES,
  type SegmentFrame,
  segmentHead,
} from "./events/block/segment.ts";
export {
  CONTROL_OFF,
  CONTROL_SWITCH,
  DEFINITION,
  EVENT,
  EVENT_AT,
  EVENT_FLAGS,
  EVENT_INT,
  EVENT_LIMITS,
  EVENT_WORDS,
  LEVELS,
  type Level,
  RECORD_AT,
  RING_COMPATIBLE,
  RING_HEADER,
  RING_HEADER_BYTES,
  RING_HEADER_ENDS,
  RING_MAGIC,
  RING_READABLE_VERSIONS,
  RING_SHARES,
  RING_SHIPPER,
  RING_STATE,
  RING_VERSION,
  RINGS_PER_APP,
  SKIPPABLE_EVENTS,
  SPAN_BITS,
  SPAN_KINDS,
  SPAN_NAME_PROPERTY,
  type SpanKind,
  VALUE,
} from "./events/constants.ts";
export { Definitions } from "./events/definitions.ts";
export {
  type Anchor,
  decodeRingHeader,
  encodeRingHeader,
  finishRingHeader,
  type NewRingHeader,
  RingFormatError,
  type RingGeometry,
  type RingHeader,
  ringGeometry,
} from "./events/header.ts";
export { levelOfSeverity, OTEL_COUNT_MAX, OTEL_PROPERTY } from "./events/otel.ts";
export { type Refusals, type RingEvent, RingReader } from "./events/ring-reader.ts";
export { isSampled, sampleThreshold } from "./events/sampling.ts";
export { SecretNames } from "./events/secrets.ts";
export {
  readShipped,
  SHIPPED_BYTES,
  type Shipped,
  type ShippedStore,
  storeOfTimeline,
} from "./events/shipped.ts";
export { nsOfMs, Timeline, type TimelineState } from "./events/timeline.ts";
export type { EventProperties } from "./events/values.ts";
export {
  AGENT_APP,
  CONTAINER_ID_SHOWN,
  INFO_LABELS,
  INFO_METRIC,
  identityOfLabels,
  type ProcessIdentity,
  UNKNOWN_IDENTITY,
} from "./identity.ts";
export { covers, type Damage, Directory, skippedRecords } from "./memory/directory.ts";
export type { DirectoryMetric, Metric, Run, Writer } from "./memory/entries.ts";
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
} from "./memory/header.ts";
export {
  MERGE_GAP_SLOTS,
  mappedPlan,
  NOT_READ,
  planBytes,
  planRead,
  type ReadPlan,
  snapshotIndex,
} from "./memory/read-plan.ts";
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
} from "./memory/records.ts";
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
} from "./memory/wire.ts";
export { countingSince } from "./metrics/counting-since.ts";
export { Gather } from "./metrics/gather.ts";
export { exposedBounds, HistogramSlots } from "./metrics/histogram-slots.ts";
export { type BuiltPlace, PoolBuilder } from "./metrics/pool-builder.ts";
export {
  type CopiedSlots,
  type LiveSlots,
  LOCAL_SOURCE,
  type PoolSnapshot,
  poolKey,
} from "./metrics/snapshot.ts";
export {
  placeOf,
  Structure,
  type StructureMetric,
  Structures,
  type StructureWriter,
  type Wants,
} from "./metrics/structure.ts";
export {
  type StructureNews,
  StructureReceiver,
  StructureSender,
} from "./metrics/structure-news.ts";
export {
  appOfRingInShm,
  appOfShmFile,
  defaultSocketPath,
  defaultStateDir,
  isRingFile,
  type NamedPool,
  poolDirOf,
  poolPath,
  poolsNamed,
  ringPath,
  SHM_DIR,
  SOCKET_PATH_BYTES_MAX,
  shmLinkName,
  sparePoolPath,
} from "./paths.ts";
