// The numbers of a ring of events: where things lie in its file, how records begin, and what is bounded.
// What each field means is in docs/events.md.

/** First eight bytes of every ring, "MVEVENT" and a zero. */
export const RING_MAGIC = "MVEVENT\0";
export const RING_VERSION = 1;
/** Rings of one version before and after are read: a host is upgraded one program at a time. */
export const RING_READABLE_VERSIONS = { first: 1, last: RING_VERSION + 1 } as const;
/** Bits of the header's word of compatible features that this version's rings have. None yet. */
export const RING_COMPATIBLE = 0;
/** Bits of the header's word of incompatible features that this version knows. None yet. */
export const RING_KNOWN_INCOMPATIBLE = 0;

/** Byte offsets in the header, the file's first page, which is written once. */
export const RING_HEADER = {
  magic: 0,
  version: 8,
  compatible: 12,
  incompatible: 16,
  pid: 20,
  threadId: 24,
  ringId: 32,
  fileBytes: 40,
  stateOffset: 48,
  shipperOffset: 56,
  definitionsOffset: 64,
  definitionsBytes: 72,
  ringOffset: 80,
  ringBytes: 88,
  /** The first anchor: ticks, monotonic clock in ns, Unix time in ms; f64 each. */
  startTick: 96,
  startMonotonicNs: 104,
  startUnixMs: 112,
  ticksPerMs: 120,
  appBytes: 128,
  serviceBytes: 132,
  app: 136,
  service: 200,
  /** 16 bytes that all threads of a process have, and no other process. */
  processId: 512,
  processStartUnixMs: 528,
  exeBytes: 536,
  exe: 544,
  runtimeBytes: 744,
  runtime: 748,
} as const;
/** Where each text of the header ends. */
export const RING_HEADER_ENDS = { app: 200, service: 512, exe: 744, runtime: 780 } as const;
export const RING_HEADER_BYTES = 1024;

/** Byte offsets in the page that the writer alone writes. */
export const RING_STATE = {
  /** Words of 8 bytes that were ever committed, modulo 2³². */
  head: 0,
  /** f64 each: events that were refused because the ring was too full for their kind. */
  refusedSpans: 64,
  refusedMeasures: 72,
  refusedLogs: 80,
  refusedSevere: 88,
  /** Events that could not be recorded for another reason. */
  failed: 96,
  /** Definitions for which there was no room. */
  inlined: 104,
  /** Five f64: how many of the first five counters records of gaps have told. The rest is told when the writer has ended. */
  told: 128,
} as const;
export const RING_STATE_BYTES = 168;

/** Byte offsets in the page that only the shipper writes. */
export const RING_SHIPPER = {
  /** u32: words that are done with, modulo 2³². It is all that the writer looks at to know its room. */
  position: 0,
  /** f64: words that were ever done with. It is stored first: an agent that finds another position stores that again. */
  total: 8,
  /**
   * f64: words up to where the block goes that is being written, stored before it. The next agent after a death makes the
   * same block again, and none that goes further.
   */
  pending: 16,
  /** f64: 1 when the block was written that says that nothing follows. */
  ended: 24,
  // What an operator has asked for, on a cache line that is stored only then; the writer reads it at each call.
  /** u32: goes up with each change. */
  controlVersion: 64,
  /** u32: 0 when nobody has asked, the index in LEVELS and 1 of the least level that is recorded, or {@link CONTROL_OFF}. */
  level: 68,
  /** u32 each: 0 when nobody has asked, 1 on, 2 off. */
  spans: 72,
  measures: 76,
  /** u32: 0 when nobody has asked, else a threshold for {@link isSampled}. */
  sample: 80,
  /** f64: Unix time in ms after which what was asked for does not hold any more; 0 for ever. */
  untilUnixMs: 96,
  /** Two places that take turns, 5 f64 each: a total, and the state of the ring's time there ({@link TimelineState}). */
  timelines: [128, 192],
} as const;
/** In the place of a level: no logs at all. */
export const CONTROL_OFF = 7;
export const CONTROL_SWITCH = { unset: 0, on: 1, off: 2 } as const;

/** A record's first word: u16 words, u8 type, u8 flags, u32 position in the stream in words, modulo 2³². */
export const EVENT = {
  pad: 1,
  anchor: 2,
  log: 3,
  measure: 4,
  begin: 5,
  end: 6,
  /** How many events were refused since the last such record. */
  gap: 7,
} as const;

/** Types of records, kinds of definitions and tags of values from here up are left out by readers that do not know them. */
export const SKIPPABLE_EVENTS = 0x80;

/** Words that records of a type have at least. */
export const EVENT_WORDS = {
  pad: 1,
  anchor: 4,
  log: 4,
  measure: 4,
  begin: 6,
  end: 3,
  gap: 7,
} as const;

/** Byte offsets of what every record begins with: u16 words, u8 type, u8 flags, u32 position; then, but for pads, f64 tick. */
export const RECORD_AT = { words: 0, type: 2, flags: 3, position: 4, tick: 8 } as const;

/** Byte offsets of the fixed fields of each type of record; u32 where nothing else is said. */
export const EVENT_AT = {
  /** f64 each. */
  anchor: { monotonicNs: 16, unixMs: 24 },
  log: { message: 16, span: 20, level: 24, target: 28 },
  /** The value is an f64. */
  measure: { definition: 16, zero: 20, value: 24 },
  /** u16 depth, u8 kind, u8 bits, which the writer stores as one u32, the shape; 16 bytes of the trace. */
  begin: {
    definition: 16,
    span: 20,
    parent: 24,
    shape: 28,
    depth: 28,
    kind: 30,
    bits: 31,
    trace: 32,
  },
  end: { span: 16, status: 20 },
  /** f64 each. */
  gap: { spans: 16, measures: 24, logs: 32, severe: 40, failed: 48 },
} as const;

/** What {@link EVENT_AT} says, as indices of ints from the record's first one, for those whose loops take rings as ints. */
export const EVENT_INT = {
  log: inInts(EVENT_AT.log),
  measure: inInts(EVENT_AT.measure),
  begin: inInts(EVENT_AT.begin),
  end: inInts(EVENT_AT.end),
};

function inInts<T extends Record<string, number>>(offsets: T): { readonly [K in keyof T]: number } {
  return Object.fromEntries(Object.entries(offsets).map(([name, at]) => [name, at >> 2])) as {
    readonly [K in keyof T]: number;
  };
}

export const EVENT_FLAGS = {
  /** Properties follow. */
  properties: 1,
  /** Something was left out or cut off. */
  truncated: 2,
  /** The span above is another ring's: the 8 bytes of its id follow the fixed words. */
  remoteParent: 4,
} as const;

/** What a span is to others, as OpenTelemetry has it, by its number. */
export const SPAN_KINDS = ["internal", "server", "client", "producer", "consumer"] as const;
export type SpanKind = (typeof SPAN_KINDS)[number];

/** The property of an end that has the span's name, where that was not known when it began. */
export const SPAN_NAME_PROPERTY = "otel.name";

/** Of the last byte of a beginning's depth. */
export const SPAN_BITS = {
  /** It ends elsewhere than where it has begun, so that spans of its thread need not lie within each other. */
  asynchronous: 1,
} as const;

/** How a value begins: u8 tag, u24 number, which is how many bytes follow where the tag is {@link SKIPPABLE_EVENTS} or more. */
export const VALUE = {
  null: 0,
  false: 1,
  true: 2,
  /** An f64 follows. */
  number: 3,
  /** An i32 follows. */
  integer: 4,
  /** As many bytes of UTF-8 as the number says, then zeroes up to a multiple of four. */
  text: 5,
  /** As text, but first a u32: the UTF-16 units that it had before it was cut. */
  cutText: 6,
  /** As many pairs of key and value. */
  object: 7,
  array: 8,
  /** A text of the table of definitions. */
  defined: 9,
  redacted: 10,
  /** What contains it. */
  circular: 11,
  tooDeep: 12,
  /** Reading it threw. */
  threw: 13,
} as const;

/** Kinds of definitions: u32 bytes in all, stored last; u32 kind; texts as u32 bytes and UTF-8 up to a multiple of four. */
export const DEFINITION = { text: 1, measure: 2, span: 3, target: 4 } as const;

/** The six levels, the worst first. */
export const LEVELS = ["fatal", "error", "warn", "info", "debug", "trace"] as const;
export type Level = (typeof LEVELS)[number];

/** How full a ring may be for each kind, as a share of its bytes. Logs from warn on may use all of it. */
export const RING_SHARES = { begin: 0.5, measure: 0.75, end: 0.75, log: 0.9 } as const;

export const EVENT_LIMITS = {
  /** What follows a record's fixed words. */
  eventBytes: 65_536,
  depth: 8,
  /** Properties and elements of arrays of one event, at all depths. */
  attributes: 128,
  /** A longer text is not defined but written where it is used. */
  definedBytes: 255,
  definitionsBytesMax: 1 << 24,
  ringBytesMin: 1 << 17,
  ringBytesMax: 1 << 26,
} as const;

export const RING_DEFAULTS = { ringBytes: 1 << 20, definitionsBytes: 1 << 16 } as const;

/** Rings that an application may have at a time in one folder, those of ended writers included. */
export const RINGS_PER_APP = 64;
