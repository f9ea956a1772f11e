// Stores records into a ring: the only code that writes there. The order of its stores is the format: a record's body,
// then its first word, then the head; a writer that dies on the way leaves what was there before (docs/decisions/0044).

import {
  type Anchor,
  EVENT,
  EVENT_AT,
  EVENT_FLAGS,
  EVENT_INT,
  EVENT_WORDS,
  RECORD_AT,
  RING_SHARES,
  RING_SHIPPER,
  RING_STATE,
  type RingGeometry,
} from "../../layout/index.ts";

/** A ring's file as numbers. */
export interface RingMemory {
  ints: Int32Array;
  doubles: Float64Array;
}

/** What tells a ring the time. */
export interface RingClock {
  ticks(): number;
  anchor(): Anchor;
  readonly ticksPerMs: number;
}

/** The part of a record that has no fixed length. */
export interface Tail {
  readonly ints: Int32Array;
  readonly length: number;
  readonly truncated: boolean;
}

/** A span that begins: its number among those of the ring, and the four ints of its trace's id. */
export interface Begun {
  readonly sequence: number;
  readonly depth: number;
  /** Its kind and its bits, where a record has them: {@link shapeOf}. */
  readonly shape: number;
  readonly trace0: number;
  readonly trace1: number;
  readonly trace2: number;
  readonly trace3: number;
}

/** How the head is published. x86-64 shows stores to others in their order; other processors have to be told. */
type Publish = (ints: Int32Array, at: number, value: number) => void;

const publishPlainly: Publish = (ints, at, value) => {
  ints[at] = value;
};
const publishInOrder: Publish = (ints, at, value) => {
  Atomics.store(ints, at, value);
};

/** A span's kind and bits as they stand beside its depth. */
export function shapeOf(kind: number, bits: number): number {
  return (kind << KIND_SHIFT) | (bits << BITS_SHIFT);
}

export function kindOf(shape: number): number {
  return (shape >> KIND_SHIFT) & 0xff;
}

// Places of fields from a record's first, as indices of ints and of doubles.
const POSITION_INT = RECORD_AT.position / 4;
const TICK_DOUBLE = RECORD_AT.tick / 8;
const VALUE_DOUBLE = EVENT_AT.measure.value / 8;
const {
  message: LOG_MESSAGE,
  span: LOG_SPAN,
  level: LOG_LEVEL,
  target: LOG_TARGET,
} = EVENT_INT.log;
const { definition: MEASURE_DEFINITION, zero: MEASURE_ZERO } = EVENT_INT.measure;
const { definition: BEGIN_DEFINITION, span: BEGIN_SPAN, parent: BEGIN_PARENT } = EVENT_INT.begin;
const { shape: BEGIN_SHAPE, trace: BEGIN_TRACE } = EVENT_INT.begin;
const { span: END_SPAN, status: END_STATUS } = EVENT_INT.end;
const KIND_SHIFT = 8 * (EVENT_AT.begin.kind - EVENT_AT.begin.shape);
const BITS_SHIFT = 8 * (EVENT_AT.begin.bits - EVENT_AT.begin.shape);
/** The counters of a gap lie in the order of those of the state page. */
const GAP_DOUBLE = EVENT_AT.gap.spans / 8;

const DEPTH_MAX = 0xffff;
const ANCHOR_EVERY_MS = 1000;
const TELL_FULL_MS = 60_000;
/** Of what was refused, and failed. */
const COUNTERS = 5;
const NOTHING = { ints: new Int32Array(0), length: 0, truncated: false } as const satisfies Tail;

export class RingWriter {
  #ints: Int32Array;
  #doubles: Float64Array;
  readonly #geometry: RingGeometry;
  readonly #clock: RingClock;
  readonly #ticks: () => number;
  readonly #publish: Publish;
  /** In words; the ring's start as an index of doubles. */
  readonly #mask: number;
  readonly #start: number;
  readonly #headAt: number;
  readonly #stateAt: number;
  readonly #shipperAt: number;
  readonly #totalAt: number;
  #definitionsAt: number;
  readonly #definitionsEnd: number;
  #definitionCount = 0;
  /** Words that were ever committed, and those that are done with, as far as it was looked. */
  #head = 0;
  #shipped = 0;
  /** The tick from which on something besides the event has to be written. */
  #due = 0;
  #anchorDue = 0;
  /** Whether there are refusals that no record has told of yet. */
  #hasUntold = false;
  /** Told when something is refused for want of room, and then at most each minute. */
  onFull: (() => void) | undefined;
  #toldFullTick = Number.NEGATIVE_INFINITY;
  readonly #words: number;
  readonly #measureLimit: number;
  readonly #beginLimit: number;
  readonly #endLimit: number;
  readonly #logLimit: number;

  constructor(
    { ints, doubles }: RingMemory,
    geometry: RingGeometry,
    clock: RingClock,
    publish: Publish = process.arch === "x64" ? publishPlainly : publishInOrder,
  ) {
    this.#ints = ints;
    this.#doubles = doubles;
    this.#geometry = geometry;
    this.#clock = clock;
    this.#ticks = clock.ticks;
    this.#publish = publish;
    this.#words = geometry.ringBytes / 8;
    this.#mask = this.#words - 1;
    this.#start = geometry.ringOffset / 8;
    this.#headAt = (geometry.stateOffset + RING_STATE.head) / 4;
    this.#stateAt = geometry.stateOffset / 8;
    this.#shipperAt = (geometry.shipperOffset + RING_SHIPPER.position) / 4;
    this.#totalAt = (geometry.shipperOffset + RING_SHIPPER.total) / 8;
    this.#definitionsAt = geometry.definitionsOffset / 4;
    this.#definitionsEnd = this.#definitionsAt + geometry.definitionsBytes / 4;
    this.#measureLimit = RING_SHARES.measure * this.#words;
    this.#beginLimit = RING_SHARES.begin * this.#words;
    this.#endLimit = RING_SHARES.end * this.#words;
    this.#logLimit = RING_SHARES.log * this.#words;
  }

  /** The ring goes on in other memory, which has what {@link RingWriter.copyTo} has put there, or is seen by nobody. */
  moveTo({ ints, doubles }: RingMemory): void {
    this.#ints = ints;
    this.#doubles = doubles;
  }

  /** Copies all but the header into memory that nobody takes for a ring yet. */
  copyTo({ ints }: RingMemory): void {
    const { stateOffset, fileBytes } = this.#geometry;
    ints.set(this.#ints.subarray(stateOffset / 4, fileBytes / 4), stateOffset / 4);
  }

  /** Appends to the table of definitions. @returns its number; 0 when there is no room */
  define(kind: number, { ints, length }: Tail): number {
    const at = this.#definitionsAt;
    const bytes = Math.ceil((2 + length) / 2) * 8;
    if (at + bytes / 4 > this.#definitionsEnd) {
      this.#count(RING_STATE.inlined);
      return 0;
    }
    this.#ints[at + 1] = kind;
    for (let i = 0; i < length; i++) this.#ints[at + 2 + i] = ints[i]!;
    this.#publish(this.#ints, at, bytes);
    this.#definitionsAt = at + bytes / 4;
    return ++this.#definitionCount;
  }

  measure(definition: number, value: number): void {
    const tick = this.#now();
    const at = this.#reserve(EVENT_WORDS.measure, this.#measureLimit);
    if (at < 0) return this.#refuse(RING_STATE.refusedMeasures);
    this.#ints[2 * at + MEASURE_DEFINITION] = definition;
    this.#ints[2 * at + MEASURE_ZERO] = 0;
    this.#doubles[at + TICK_DOUBLE] = tick;
    this.#doubles[at + VALUE_DOUBLE] = value;
    this.#commit(at, EVENT_WORDS.measure, EVENT.measure);
  }

  /** @param tail a definition's texts where there is no definition, then properties if `flags` says so */
  measureWith(definition: number, value: number, tail: Tail, flags: number): void {
    const tick = this.#now();
    const words = EVENT_WORDS.measure + ((tail.length + 1) >> 1);
    const at = this.#reserve(words, this.#measureLimit);
    if (at < 0) return this.#refuse(RING_STATE.refusedMeasures);
    this.#ints[2 * at + MEASURE_DEFINITION] = definition;
    this.#ints[2 * at + MEASURE_ZERO] = 0;
    this.#doubles[at + TICK_DOUBLE] = tick;
    this.#doubles[at + VALUE_DOUBLE] = value;
    this.#append(at + EVENT_WORDS.measure, tail);
    this.#commit(at, words, EVENT.measure | (flagsOf(flags, tail) << 8));
  }

  /**
   * @param parent sequence number of the span above; 0 when there is none in this ring
   * @param tail the 8 bytes of a parent elsewhere, a definition's texts, and properties, as far as `definition` and
   * `flags` say that they are there
   * @returns whether it was recorded
   */
  begin(definition: number, parent: number, span: Begun, tail: Tail = NOTHING, flags = 0): boolean {
    const tick = this.#now();
    const words = EVENT_WORDS.begin + ((tail.length + 1) >> 1);
    const at = this.#reserve(words, this.#beginLimit);
    if (at < 0) {
      this.#refuse(RING_STATE.refusedSpans);
      return false;
    }
    const ints = this.#ints;
    const i = 2 * at;
    ints[i + BEGIN_DEFINITION] = definition;
    ints[i + BEGIN_SPAN] = span.sequence;
    ints[i + BEGIN_PARENT] = parent;
    ints[i + BEGIN_SHAPE] = Math.min(span.depth, DEPTH_MAX) | span.shape;
    ints[i + BEGIN_TRACE] = span.trace0;
    ints[i + BEGIN_TRACE + 1] = span.trace1;
    ints[i + BEGIN_TRACE + 2] = span.trace2;
    ints[i + BEGIN_TRACE + 3] = span.trace3;
    this.#doubles[at + TICK_DOUBLE] = tick;
    if (tail.length > 0) this.#append(at + EVENT_WORDS.begin, tail);
    this.#commit(at, words, EVENT.begin | (flagsOf(flags, tail) << 8));
    return true;
  }

  end(sequence: number, status: number): void {
    const tick = this.#now();
    const at = this.#reserve(EVENT_WORDS.end, this.#endLimit);
    if (at < 0) return this.#refuse(RING_STATE.refusedSpans);
    this.#ints[2 * at + END_SPAN] = sequence;
    this.#ints[2 * at + END_STATUS] = status;
    this.#doubles[at + TICK_DOUBLE] = tick;
    this.#commit(at, EVENT_WORDS.end, EVENT.end);
  }

  /** An end with properties. */
  endWith(sequence: number, status: number, tail: Tail): void {
    const tick = this.#now();
    const words = EVENT_WORDS.end + ((tail.length + 1) >> 1);
    const at = this.#reserve(words, this.#endLimit);
    if (at < 0) return this.#refuse(RING_STATE.refusedSpans);
    this.#ints[2 * at + END_SPAN] = sequence;
    this.#ints[2 * at + END_STATUS] = status;
    this.#doubles[at + TICK_DOUBLE] = tick;
    this.#append(at + EVENT_WORDS.end, tail);
    this.#commit(at, words, EVENT.end | (flagsOf(EVENT_FLAGS.properties, tail) << 8));
  }

  /**
   * @param level 0 is the worst; from `warn`, 2, up all of the ring may be used
   * @param message its definition, or 0 where it is the first text of the tail
   * @param target its definition, or 0 where there is none
   */
  log(
    level: number,
    message: number,
    span: number,
    target: number,
    tail: Tail,
    flags: number,
  ): void {
    const tick = this.#now();
    const words = EVENT_WORDS.log + ((tail.length + 1) >> 1);
    const at = this.#reserve(words, level > 2 ? this.#logLimit : this.#words);
    if (at < 0) return this.#refuse(level > 2 ? RING_STATE.refusedLogs : RING_STATE.refusedSevere);
    const ints = this.#ints;
    ints[2 * at + LOG_MESSAGE] = message;
    ints[2 * at + LOG_SPAN] = span;
    ints[2 * at + LOG_LEVEL] = level;
    ints[2 * at + LOG_TARGET] = target;
    this.#doubles[at + TICK_DOUBLE] = tick;
    this.#append(at + EVENT_WORDS.log, tail);
    this.#commit(at, words, EVENT.log | (flagsOf(flags, tail) << 8));
  }

  /** An event could not be recorded, for another reason than a lack of room. */
  failed(): void {
    this.#refuse(RING_STATE.failed);
  }

  #now(): number {
    const tick = this.#ticks();
    if (tick >= this.#due) this.#writeDue(tick);
    return tick;
  }

  /** Apart, so that an event pays one comparison for it. */
  #writeDue(now: number): void {
    if (now >= this.#anchorDue) this.#anchor(now);
    this.#due = this.#anchorDue;
    if (this.#hasUntold && !this.#tellGap(now)) this.#due = 0;
  }

  /**
   * Tells of what was refused as soon as any kind of event fits again, which is where spans do.
   * @returns whether there was room
   */
  #tellGap(tick: number): boolean {
    const at = this.#reserve(EVENT_WORDS.gap, this.#beginLimit);
    if (at < 0) return false;
    this.#doubles[at + TICK_DOUBLE] = tick;
    const refused = this.#stateAt + RING_STATE.refusedSpans / 8;
    const told = this.#stateAt + RING_STATE.told / 8;
    for (let i = 0; i < COUNTERS; i++)
      this.#doubles[at + GAP_DOUBLE + i] = this.#doubles[refused + i]! - this.#doubles[told + i]!;
    this.#commit(at, EVENT_WORDS.gap, EVENT.gap);
    for (let i = 0; i < COUNTERS; i++) this.#doubles[told + i] = this.#doubles[refused + i]!;
    this.#hasUntold = false;
    return true;
  }

  #anchor(now: number): void {
    this.#anchorDue = now + ANCHOR_EVERY_MS * this.#clock.ticksPerMs;
    const { tick, monotonicNs, unixMs } = this.#clock.anchor();
    const at = this.#reserve(EVENT_WORDS.anchor, this.#words);
    if (at < 0) return;
    this.#doubles[at + TICK_DOUBLE] = tick;
    this.#doubles[at + EVENT_AT.anchor.monotonicNs / 8] = monotonicNs;
    this.#doubles[at + EVENT_AT.anchor.unixMs / 8] = unixMs;
    this.#commit(at, EVENT_WORDS.anchor, EVENT.anchor);
  }

  /**
   * Room for a record, which is nobody's before it is committed.
   * @param limit how many words may be in use afterwards
   * @returns its place as an index of doubles; −1 when the ring is too full
   */
  #reserve(words: number, limit: number): number {
    const left = this.#words - (this.#head & this.#mask);
    // Records never wrap: what is left of the lap becomes one that nobody reads.
    const needed = left < words ? left + words : words;
    if (this.#head + needed - this.#shipped > limit && !this.#hasRoom(needed, limit)) return -1;
    if (left < words) this.#commit(this.#start + (this.#head & this.#mask), left, EVENT.pad);
    return this.#start + (this.#head & this.#mask);
  }

  /** Looks how far the shipper has come. Only here: it is his cache line. */
  #hasRoom(needed: number, limit: number): boolean {
    // Both are stored by calls of the system, the total first. Of one that is seen half stored the other one says less.
    const total = (this.#doubles[this.#totalAt]! - this.#shipped) >>> 0;
    const position = (Atomics.load(this.#ints, this.#shipperAt) - this.#shipped) >>> 0;
    const more = Math.min(position, total);
    if (this.#shipped + more > this.#head) return false;
    this.#shipped += more;
    return this.#head + needed - this.#shipped <= limit;
  }

  /** @param type in the lower 8 bits, flags in the next */
  #commit(at: number, words: number, type: number): void {
    const ints = this.#ints;
    ints[2 * at + POSITION_INT] = this.#head | 0;
    ints[2 * at] = words | (type << 16);
    this.#head += words;
    this.#publish(ints, this.#headAt, this.#head | 0);
  }

  #append(at: number, { ints, length }: Tail): void {
    const into = this.#ints;
    const start = 2 * at;
    for (let i = 0; i < length; i++) into[start + i] = ints[i]!;
    if ((length & 1) === 1) into[start + length] = 0;
  }

  #refuse(counter: number): void {
    this.#count(counter);
    this.#hasUntold = true;
    this.#due = 0;
    if (counter !== RING_STATE.failed) this.#tellFull();
  }

  #tellFull(): void {
    const tick = this.#ticks();
    if (tick - this.#toldFullTick < TELL_FULL_MS * this.#clock.ticksPerMs) return;
    this.#toldFullTick = tick;
    this.onFull?.();
  }

  #count(offset: number): void {
    this.#doubles[this.#stateAt + offset / 8]! += 1;
  }
}

function flagsOf(flags: number, { truncated }: Tail): number {
  return truncated ? flags | EVENT_FLAGS.truncated : flags;
}
