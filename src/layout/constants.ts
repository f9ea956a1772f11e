// The numbers of the memory layout: every offset, width and limit, stated once.
// `scripts/gen-layout.ts` writes them into `c/layout.h`, where static assertions hold the C side to them.

/** First eight bytes of every pool, "MICROVW" and a zero. */
export const POOL_MAGIC = "MICROVW\0";
/** See docs/decisions/0040: pools of the version before and of the one after are read and adopted too. */
export const LAYOUT_VERSION = 2;
/** Bits of the header's word of incompatible features that this version knows. None yet. */
export const KNOWN_INCOMPATIBLE = 0;

export const PAGE_BYTES = 4096;
export const PAGE_HEADER_BYTES = 64;
export const SLOT_BYTES = 8;
export const SLOTS_PER_PAGE = 504;
/** Slots from the start of one page to the start of the next, header included. */
export const SLOTS_PER_PAGE_STRIDE = 512;
/** Slots that a page's header takes. */
export const PAGE_HEADER_SLOTS = 8;

/** "MVPG", little-endian. */
export const PAGE_MAGIC = 0x4750564d;

/** Byte offsets in the pool's header, which is the file's first page. */
export const HEADER = {
  magic: 0,
  version: 8,
  headerBytes: 12,
  pageBytes: 16,
  slotBytes: 20,
  pageHeaderBytes: 24,
  slotsPerPage: 28,
  fileBytes: 32,
  directoryOffset: 40,
  directoryCapacity: 48,
  journalOffset: 56,
  journalCapacity: 64,
  pagesOffset: 72,
  pageCapacity: 80,
  appBytes: 84,
  app: 88,
  createdAtMs: 152,
  poolId: 160,
  /** Pool id of the first of the pools that took each other's place with all that was in them; 0 is this pool's own. */
  lineage: 168,
  /** How many of those came before this one. */
  replacements: 176,
  /** What the pool has that one may ignore who does not know it, a bit each. Zero in version 1. */
  compatible: 184,
  /** What the pool has that one must know to read it. Zero in version 1. */
  incompatible: 188,
  // What the agent changes while the pool lives has a cache line of its own.
  generation: 256,
  directoryWord: 264,
  pagesHighWater: 272,
  agentPid: 276,
  /** Raised when remote readers should ask the agent again: pools came or went, or other memory is registered. */
  notices: 280,
  /** Writers that still stored into the pool before this one, which was lost, when the agent looked last. */
  elsewhere: 284,
} as const;

/** Bytes a reader fetches to learn all of the header's fields. */
export const HEADER_BYTES_USED = 320;
/** Bytes a reader fetches to learn whether the structure moved: generation to notices. */
export const HEADER_LIVE_OFFSET = HEADER.generation;
export const HEADER_LIVE_BYTES = 32;

/** Byte offsets in a page's header. */
export const PAGE = {
  magic: 0,
  index: 4,
  /** The writer the page was granted to; 0 when it is free or shared by several. */
  owner: 8,
  /** How many times the page was handed out. */
  grants: 12,
} as const;

/** Byte offsets in the journal; entries of {u64 byte offset, f64 value} follow its header. */
export const JOURNAL = {
  /** Number of entries plus one; 0 when there is nothing to redo. */
  commit: 0,
  nextDirectoryWord: 8,
  checksum: 16,
  headerBytes: 64,
  entryBytes: 16,
} as const;

/** Record types of the directory. */
export const RECORD = {
  service: 1,
  metric: 2,
  series: 3,
  writer: 4,
  grant: 5,
  bind: 6,
  release: 7,
  ungrant: 8,
  retire: 9,
} as const;

/** From this type on, a reader that does not know a record skips it. Below, it is damage: it may name what others refer to. */
export const SKIPPABLE_RECORDS = 0x80;

/** A record starts with {u16 type, u16 length in 8-byte words, u32 CRC-32 of what follows}. */
export const RECORD_HEADER_BYTES = 8;

/** Limits that the format itself sets; the agent's own may be lower. Lengths are bytes of UTF-8. */
export const LIMITS = {
  appNameBytes: 64,
  serviceNameBytes: 255,
  metricNameBytes: 255,
  labelNameBytes: 255,
  labelValueBytes: 1024,
  labelsPerMetric: 32,
  /** Sets of label names that metrics of one name may have in a service, where they are open. */
  labelSetsPerName: 128,
  unitBytes: 63,
  helpBytes: 4096,
  boundsPerHistogram: 500,
  slotsPerSeries: SLOTS_PER_PAGE,
  /** Ids are array indexes in every reader, so a forged one must not make it allocate without end. */
  maxId: 0x0100_0000,
  pageCapacity: 1 << 20,
  /** A pool is mapped whole, and no ArrayBuffer is longer. */
  fileBytes: 2 ** 32,
  directoryCapacity: 1 << 28,
  journalCapacity: 1 << 28,
} as const;

/** What the agent uses for a new pool unless told otherwise. The file is sparse: only what is handed out takes memory. */
export const POOL_DEFAULTS = {
  pageCapacity: 65_536,
  directoryCapacity: 64 << 20,
  journalCapacity: 1 << 20,
} as const;
