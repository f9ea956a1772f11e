// Reads events out of a ring while its writer goes on, and after its death. The ring may hold anything at all: every
// length, number and place is checked, and what does not fit is one damaged event and no error.

import { DamageError, hex8 } from "../bytes.ts";
import {
  DEFINITION,
  EVENT,
  EVENT_AT,
  EVENT_FLAGS,
  EVENT_LIMITS,
  EVENT_WORDS,
  LEVELS,
  type Level,
  RECORD_AT,
  RING_SHIPPER,
  RING_STATE,
  RING_STATE_BYTES,
  SKIPPABLE_EVENTS,
  SPAN_BITS,
  SPAN_KINDS,
  type SpanKind,
} from "./constants.ts";
import {
  type CopyOf,
  type Definition,
  Definitions,
  readDefinition,
  unknownDefinition,
} from "./definitions.ts";
import type { Anchor, RingHeader } from "./header.ts";
import { readShipped, SHIPPED_BYTES } from "./shipped.ts";
import { Timeline, type TimelineState } from "./timeline.ts";
import { type EventProperties, ValueReader } from "./values.ts";

interface Recorded {
  timeMs: number;
  /** Something was left out or cut off. */
  truncated: boolean;
}

interface LogEvent extends Recorded {
  kind: "log";
  level: Level;
  /** What part of the program it is of; "" where none was named. */
  target: string;
  message: string;
  properties: EventProperties;
  /** The span that was open, sixteen hex digits. */
  spanId: string | undefined;
}

interface MeasureEvent extends Recorded {
  kind: "measure";
  name: string;
  unit: string;
  target: string;
  /** `file:line` of the declaration; "" where it is not known. */
  place: string;
  value: number;
  properties: EventProperties;
}

interface BeginEvent extends Recorded {
  kind: "begin";
  name: string;
  target: string;
  place: string;
  spanKind: SpanKind;
  isAsync: boolean;
  spanId: string;
  parentId: string | undefined;
  depth: number;
  traceId: string;
  properties: EventProperties;
}

interface EndEvent extends Recorded {
  kind: "end";
  spanId: string;
  status: "ok" | "error";
  /** What was set after the beginning. */
  properties: EventProperties;
}

/** Events were refused before this one, since the last such one. */
interface GapEvent extends Recorded, Refusals {
  kind: "gap";
}

/** The wall clock was set, so that times before and behind it do not compare. */
interface ClockEvent extends Recorded {
  kind: "clock";
  stepMs: number;
}

/** Something cannot be read: what is damaged, or was done with before it could be. */
interface UnreadableEvent extends Recorded {
  kind: "damaged" | "missed";
  reason: string;
}

export type RingEvent =
  | LogEvent
  | MeasureEvent
  | BeginEvent
  | EndEvent
  | GapEvent
  | ClockEvent
  | UnreadableEvent;

/** What a ring has refused, and could not record. */
export interface Refusals {
  spans: number;
  measures: number;
  /** Logs below warn, and those from warn on. */
  logs: number;
  severe: number;
  failed: number;
}

/** What is copied at a time; no record is longer. */
const CHUNK_WORDS = (1 << 19) / 8;
/** How far behind the head a writer may be storing: a record, and what fills the end of the lap before it. */
const REACH_WORDS = 2 * (EVENT_LIMITS.eventBytes / 8 + 16);
/** In the place of a length: the record goes on behind the chunk, or there is none. */
const CUT = -1;
const DAMAGED = 0;

export class RingReader {
  readonly #header: RingHeader;
  readonly #copy: CopyOf;
  readonly #definitions: Definitions;
  readonly #ringWords: number;
  readonly #timeline: Timeline;
  readonly #epochMs: number;
  #position = 0;
  #hasBegun = false;
  /** Whether the last read came to the head, as it was then. */
  isAtHead = false;
  /** Records of types that this version does not know, and that may be left out. */
  skipped = 0;

  /** @param copy of the file's bytes; asked for nothing outside of the parts that the header names */
  constructor(header: RingHeader, copy: CopyOf) {
    this.#header = header;
    this.#copy = copy;
    this.#ringWords = header.ringBytes / 8;
    this.#timeline = new Timeline(header);
    this.#epochMs = Number(this.#timeline.epochNs) / 1e6;
    this.#definitions = new Definitions(copy, header.definitionsOffset, header.definitionsBytes);
  }

  get refusals(): Refusals {
    return this.#refusals((refused) => refused);
  }

  /** What no record tells of: when its writer has ended, nobody will. */
  get untold(): Refusals {
    return this.#refusals((refused, told) => refused - told);
  }

  #refusals(pick: (refused: number, told: number) => number): Refusals {
    const view = viewOf(this.#copy(this.#header.stateOffset, RING_STATE_BYTES));
    // Anything may stand there.
    const [spans, measures, logs, severe, failed] = [0, 8, 16, 24, 32].map((offset) => {
      const refused = view.getFloat64(RING_STATE.refusedSpans + offset, true);
      return countOf(pick(refused, view.getFloat64(RING_STATE.told + offset, true)));
    }) as [number, number, number, number, number];
    return { spans, measures, logs, severe, failed };
  }

  /** The next events, in the order in which they were recorded. There are more until {@link RingReader.isAtHead}. */
  read(): RingEvent[] {
    this.isAtHead = false;
    const { stateOffset, shipperOffset } = this.#header;
    const shipped = this.#word(shipperOffset + RING_SHIPPER.position);
    const head = this.#word(stateOffset + RING_STATE.head);
    const events: RingEvent[] = [];
    this.#startAt(shipped);
    this.#skipTo(shipped, head, events);
    const left = (head - this.#position) >>> 0;
    if (left > this.#ringWords) {
      events.push(this.#unreadable("damaged", `the head is ${left} words away`));
      this.#position = head;
      this.isAtHead = true;
      return events;
    }
    const words = Math.min(left, CHUNK_WORDS);
    const chunk = this.#chunk(this.#position, words);
    // The shipper gives the writer room: what it has given meanwhile may be written over in this copy.
    const since = this.#word(shipperOffset + RING_SHIPPER.position);
    if (this.#skipTo(since, this.#word(stateOffset + RING_STATE.head), events)) return events;
    this.#take(chunk, words === left, events);
    this.isAtHead = this.#position === head;
    return events;
  }

  /** The ring's time where the reader is, to be stored with the position. */
  get timeline(): TimelineState {
    return this.#timeline.state;
  }

  /**
   * Steps over the oldest records, looking into those of the time alone, until at most so many words are left before the head.
   * @returns the position then, for the shipper to store
   */
  leave(words: number): number {
    const head = this.#word(this.#header.stateOffset + RING_STATE.head);
    this.#startAt(this.#word(this.#header.shipperOffset + RING_SHIPPER.position));
    for (;;) {
      const left = (head - this.#position) >>> 0;
      if (left <= words) return this.#position;
      if (left > this.#ringWords) {
        this.#position = head;
        return head;
      }
      const chunk = viewOf(this.#chunk(this.#position, Math.min(left, CHUNK_WORDS)));
      const isAll = left <= CHUNK_WORDS;
      let at = 0;
      while (at < chunk.byteLength / 8 && left - at > words) {
        const length = this.#lengthAt(chunk, at, this.#position, isAll);
        if (length === CUT) break;
        // Of a damaged stream nothing is left that could be read.
        if (length === DAMAGED) {
          at = left;
          break;
        }
        if (
          chunk.getUint8(at * 8 + RECORD_AT.type) === EVENT.anchor &&
          length >= EVENT_WORDS.anchor
        ) {
          const anchor = anchorAt(chunk, at * 8);
          if (Timeline.isAnchor(anchor)) this.#timeline.turnTo(anchor);
        }
        at += length;
      }
      this.#position = (this.#position + at) >>> 0;
    }
  }

  /** @param shipped where to begin, if it has not */
  #startAt(shipped: number): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#position = shipped;
    this.#resume();
  }

  /** Takes the ring's time from the shipper of what is before. */
  #resume(): void {
    const page = this.#copy(this.#header.shipperOffset, SHIPPED_BYTES);
    const { total, timeline } = readShipped(page);
    if (timeline === undefined) return;
    // Some of what was shipped is kept for readers.
    if (total % 2 ** 32 === this.#position) this.#timeline.resume(timeline);
    else this.#timeline.approximate(timeline);
  }

  /** Leaves out what is done with. @returns whether there was any */
  #skipTo(shipped: number, head: number, events: RingEvent[]): boolean {
    const gone = (shipped - this.#position) >>> 0;
    const left = (head - this.#position) >>> 0;
    if (gone === 0 || gone > left) return false;
    // What is done with stays as it is until the writer comes there again.
    if (left + REACH_WORDS <= this.#ringWords) return false;
    events.push(
      this.#unreadable("missed", `${gone * 8} bytes were done with before they were read`),
    );
    this.#position = shipped;
    this.#resume();
    return true;
  }

  #chunk(position: number, words: number): Uint8Array {
    const { ringOffset } = this.#header;
    const first = position % this.#ringWords;
    const before = Math.min(words, this.#ringWords - first);
    const chunk = new Uint8Array(words * 8);
    if (before > 0) chunk.set(this.#copy(ringOffset + first * 8, before * 8));
    if (words > before) chunk.set(this.#copy(ringOffset, (words - before) * 8), before * 8);
    return chunk;
  }

  /** @param isAll whether the chunk goes up to the head, so that no record may go on behind it */
  #take(chunk: Uint8Array, isAll: boolean, events: RingEvent[]): void {
    const view = viewOf(chunk);
    const values = new ValueReader(chunk, (id) => this.#definitions.text(id));
    const start = this.#position;
    const words = chunk.length / 8;
    let at = 0;
    while (at < words) {
      const length = this.#lengthAt(view, at, start, isAll);
      if (length === CUT) break;
      if (length === DAMAGED) {
        // Where the next record begins nobody can say.
        events.push(this.#unreadable("damaged", `there is no record at word ${start + at}`));
        at = words;
        break;
      }
      const flags = view.getUint8(at * 8 + RECORD_AT.flags);
      const record = { view, values, at: at * 8, end: (at + length) * 8, flags };
      const event = this.#event(view.getUint8(at * 8 + RECORD_AT.type), length, record);
      if (event !== undefined) events.push(event);
      at += length;
    }
    this.#position = (start + at) >>> 0;
  }

  /** How many words the record at a word of a chunk has. @param start position of the chunk */
  #lengthAt(chunk: DataView, at: number, start: number, isAll: boolean): number {
    const words = chunk.byteLength / 8;
    const position = (start + at) >>> 0;
    const length = chunk.getUint16(at * 8 + RECORD_AT.words, true);
    const isWithinLap = (position % this.#ringWords) + length <= this.#ringWords;
    const isOfHere = chunk.getUint32(at * 8 + RECORD_AT.position, true) === position;
    if (length === 0 || !isOfHere || !isWithinLap) return DAMAGED;
    if (at + length <= words) return length;
    return isAll ? DAMAGED : CUT;
  }

  #event(type: number, words: number, record: RawRecord): RingEvent | undefined {
    if (type === EVENT.pad) return undefined;
    const least = LEAST_WORDS.get(type);
    if (least === undefined && type >= SKIPPABLE_EVENTS) {
      this.skipped++;
      return undefined;
    }
    if (least === undefined) return this.#unreadable("damaged", `no record has the type ${type}`);
    if (words < least) return this.#unreadable("damaged", `a record of ${words} words`);
    try {
      return this.#decode(type, record);
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      return this.#unreadable("damaged", error.message);
    }
  }

  #decode(type: number, record: RawRecord): RingEvent | undefined {
    const { view, at, flags } = record;
    const u32 = (offset: number) => view.getUint32(at + offset, true);
    const tick = view.getFloat64(at + RECORD_AT.tick, true);
    if (type === EVENT.anchor) return this.#anchored(record);
    const timeMs = this.#timeOf(tick);
    const truncated = (flags & EVENT_FLAGS.truncated) !== 0;
    switch (type) {
      case EVENT.measure: {
        const fields = EVENT_AT.measure;
        const id = u32(fields.definition);
        const named = this.#named(record, id, EVENT_WORDS.measure, DEFINITION.measure);
        const { text: name, unit, target, place } = named;
        const value = view.getFloat64(at + fields.value, true);
        const properties = this.#properties(record);
        return { kind: "measure", timeMs, truncated, name, unit, target, place, value, properties };
      }
      case EVENT.begin:
        return { kind: "begin", timeMs, truncated, ...this.#begin(record) };
      case EVENT.end: {
        const fields = EVENT_AT.end;
        const status = u32(fields.status) === 0 ? "ok" : "error";
        record.values.seek(at + EVENT_WORDS.end * 8, record.end);
        const properties = this.#properties(record);
        return {
          kind: "end",
          timeMs,
          truncated,
          spanId: this.#idOf(u32(fields.span)),
          status,
          properties,
        };
      }
      case EVENT.gap: {
        const fields = EVENT_AT.gap;
        const count = (offset: number) => countOf(view.getFloat64(at + offset, true));
        return {
          ...{ kind: "gap", timeMs, truncated },
          ...{ spans: count(fields.spans), measures: count(fields.measures) },
          ...{ logs: count(fields.logs), severe: count(fields.severe) },
          failed: count(fields.failed),
        };
      }
    }
    const fields = EVENT_AT.log;
    const level = LEVELS[u32(fields.level)];
    if (level === undefined) throw new DamageError(`no log has the level ${u32(fields.level)}`, at);
    const targetId = u32(fields.target);
    const target = targetId === 0 ? "" : this.#defined(targetId).text;
    const message = this.#named(record, u32(fields.message), EVENT_WORDS.log, DEFINITION.text).text;
    const spanId = this.#spanId(u32(fields.span));
    const properties = this.#properties(record);
    return { kind: "log", timeMs, truncated, level, target, message, properties, spanId };
  }

  #begin(record: RawRecord) {
    const { view, at, end, flags } = record;
    const u32 = (offset: number) => view.getUint32(at + offset, true);
    const isRemote = (flags & EVENT_FLAGS.remoteParent) !== 0;
    const fixedWords = EVENT_WORDS.begin + (isRemote ? 1 : 0);
    if (at + fixedWords * 8 > end) throw new DamageError("a span without its parent", at);
    const fields = EVENT_AT.begin;
    const named = this.#named(record, u32(fields.definition), fixedWords, DEFINITION.span);
    const { text: name, target, place } = named;
    const kind = view.getUint8(at + fields.kind);
    const spanKind = SPAN_KINDS[kind];
    if (spanKind === undefined) throw new DamageError(`no span has the kind ${kind}`, at);
    const afterFixed = at + EVENT_WORDS.begin * 8;
    return {
      name,
      target,
      place,
      spanKind,
      isAsync: (view.getUint8(at + fields.bits) & SPAN_BITS.asynchronous) !== 0,
      spanId: this.#idOf(u32(fields.span)),
      // As it is in the header of a request, so the first byte first.
      parentId: isRemote
        ? hex8(view.getUint32(afterFixed)) + hex8(view.getUint32(afterFixed + 4))
        : this.#spanId(u32(fields.parent)),
      depth: view.getUint16(at + fields.depth, true),
      traceId: [0, 4, 8, 12].map((offset) => hex8(u32(fields.trace + offset))).join(""),
      properties: this.#properties(record),
    };
  }

  /** What a record is of, by its definition, or, where its number is 0, as it follows the record's fixed words. */
  #named(record: RawRecord, id: number, fixedWords: number, kind: number): Definition {
    const { values, at, end } = record;
    values.seek(at + fixedWords * 8, end);
    return id === 0 ? readDefinition(kind, values) : this.#defined(id);
  }

  #defined(id: number): Definition {
    return this.#definitions.get(id) ?? unknownDefinition(id);
  }

  #properties({ values, flags, end }: RawRecord): EventProperties {
    if ((flags & EVENT_FLAGS.properties) === 0) return {};
    return values.seek(values.position, end).properties();
  }

  /** From here on times go by this anchor. */
  #anchored({ view, at }: RawRecord): ClockEvent | undefined {
    const anchor = anchorAt(view, at);
    if (!Timeline.isAnchor(anchor)) {
      throw new DamageError("an anchor whose times are no numbers", at);
    }
    const step = this.#timeline.turnTo(anchor);
    if (step === undefined) return undefined;
    return { kind: "clock", timeMs: this.#timeOf(anchor.tick), truncated: false, ...step };
  }

  #timeOf(tick: number): number {
    return this.#epochMs + this.#timeline.at(tick) / 1e6;
  }

  /** Undefined for none. */
  #spanId(sequence: number): string | undefined {
    return sequence === 0 ? undefined : this.#idOf(sequence);
  }

  #idOf(sequence: number): string {
    return this.#header.ringId.slice(0, 8) + hex8(sequence);
  }

  #unreadable(kind: "damaged" | "missed", reason: string): UnreadableEvent {
    return { kind, timeMs: this.#timeOf(Number.NEGATIVE_INFINITY), truncated: false, reason };
  }

  #word(offset: number): number {
    return viewOf(this.#copy(offset, 4)).getUint32(0, true);
  }
}

interface RawRecord {
  view: DataView;
  values: ValueReader;
  /** In bytes of the chunk. */
  at: number;
  end: number;
  flags: number;
}

const LEAST_WORDS = new Map<number, number>(
  (Object.keys(EVENT) as (keyof typeof EVENT)[]).map((name) => [EVENT[name], EVENT_WORDS[name]]),
);

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** @param at where the record begins, in bytes */
export function anchorAt(view: DataView, at: number): Anchor {
  return {
    tick: view.getFloat64(at + RECORD_AT.tick, true),
    monotonicNs: view.getFloat64(at + EVENT_AT.anchor.monotonicNs, true),
    unixMs: view.getFloat64(at + EVENT_AT.anchor.unixMs, true),
  };
}

/** A count that may be any number at all. */
export function countOf(value: number): number {
  return Math.max(0, Math.floor(value)) || 0;
}
