// Blocks out of the words of a ring, for the shipper: `new BlockBuilder(zstd).build({ header, definitions, words, … })`.
// A block is a function of what is given alone: the same words, definitions and time make the same bytes. So
// nothing here may depend on blocks that were built before. No object is made for an event; the loop is what shipping costs.

import { DamageError } from "../../bytes.ts";
import {
  DEFINITION,
  EVENT,
  EVENT_AT,
  EVENT_FLAGS,
  EVENT_INT,
  EVENT_WORDS,
  LEVELS,
  RECORD_AT,
  SKIPPABLE_EVENTS,
  SPAN_BITS,
  SPAN_KINDS,
  VALUE,
} from "../constants.ts";
import { type Definitions, readDefinition } from "../definitions.ts";
import type { RingHeader } from "../header.ts";
import { anchorAt, countOf } from "../ring-reader.ts";
import { Timeline, type TimelineState } from "../timeline.ts";
import { type EventProperties, ValueReader } from "../values.ts";
import { finishBlock, type Zstd } from "./encode.ts";
import type { BlockHeader, BlockOrigin, BlockProcess } from "./header.ts";
import { ColumnWriter, type TextList } from "./planes.ts";
import { CloseRows, LogRows, MeasureRows, NOTHING, SpanRows } from "./rows.ts";
import {
  arePropertiesSound,
  PropertyBudget,
  type PropertySource,
  propertiesJson,
  trimShapes,
} from "./shapes.ts";
import {
  MeasureWriter,
  NO_PARENT,
  OPEN,
  PARENT_ELSEWHERE,
  TableWriter,
  writeCloses,
  writeLogs,
} from "./tables.ts";

/** Words of a ring that a block is made of at most; of more it takes the beginning. */
export const BLOCK_WORDS_MAX = 1 << 19;

export interface RingWords {
  header: RingHeader;
  /** Of the same ring; keep it, so that it need not be read again. */
  definitions: Definitions;
  /** A copy of the ring from `first` on, across its end, up to a place where a record begins. */
  words: Uint8Array;
  /** How many words the ring ever had before them. */
  first: number;
  /** The ring's time at the first; undefined where nobody knows it. */
  timeline: TimelineState | undefined;
  isFinal: boolean;
  process: BlockProcess;
}

export interface BuiltBlock {
  block: Uint8Array;
  /** Its `end` says how far it goes, its `timeline` what the next one begins with. */
  header: BlockHeader;
}

/** Rows that tell of damage; of more parts there is one row that says how many. */
const DAMAGED_ROWS_MAX = 256;
// Of a record, as indices of ints from its first.
const {
  message: LOG_MESSAGE,
  span: LOG_SPAN,
  level: LOG_LEVEL,
  target: LOG_TARGET,
} = EVENT_INT.log;
const MEASURE_DEFINITION = EVENT_INT.measure.definition;
const MEASURE_VALUE_DOUBLE = EVENT_AT.measure.value / 8;
const {
  definition: BEGIN_DEFINITION,
  span: BEGIN_SPAN,
  parent: BEGIN_PARENT,
  shape: BEGIN_SHAPE,
  trace: BEGIN_TRACE,
} = EVENT_INT.begin;
const { span: END_SPAN, status: END_STATUS } = EVENT_INT.end;
const TICK_DOUBLE = RECORD_AT.tick / 8;
/** In the int of a span's shape. */
const KIND_SHIFT = 8 * (EVENT_AT.begin.kind - EVENT_AT.begin.shape);
const BITS_SHIFT = 8 * (EVENT_AT.begin.bits - EVENT_AT.begin.shape);
const WARN = LEVELS.indexOf("warn");
const KINDS = SPAN_KINDS.length;
const TWO_32 = 0x1_0000_0000;

export class BlockBuilder {
  readonly #zstd: Zstd;
  readonly #writer = new ColumnWriter();
  readonly #tables = new TableWriter();
  readonly #measureWriter = new MeasureWriter();
  readonly #budget = new PropertyBudget();
  readonly #logs = new LogRows(this.#budget);
  readonly #measures = new MeasureRows(this.#budget);
  readonly #spans = new SpanRows(this.#budget);
  readonly #closes = new CloseRows(this.#budget);
  #ints = new Int32Array(0);
  #bytes = new Uint8Array(0);
  #definitions!: Definitions;
  #timeline!: Timeline;
  #values!: ValueReader;
  #damaged = 0;
  /** Records of types that this version does not know, and that may be left out. */
  #skipped = 0;
  /** Of the ends of spans; they need not be in the order of rows. */
  #lastEndNs = 0;
  /** The first half of ids of spans: they have the ring's. */
  #idHigh = 0;
  #source!: PropertySource;

  /** One builder serves all rings of a thread, one after the other. */
  constructor(zstd: Zstd) {
    this.#zstd = zstd;
  }

  build(source: RingWords): BuiltBlock {
    const { header, definitions, first, timeline, isFinal, process: writer } = source;
    const bytes = aligned(source.words);
    const words = Math.min(BLOCK_WORDS_MAX, Math.floor(bytes.length / 8));
    this.#bytes = bytes;
    this.#ints = new Int32Array(bytes.buffer, bytes.byteOffset, words * 2);
    this.#definitions = definitions;
    this.#values = new ValueReader(bytes, (id) => definitions.text(id));
    this.#damaged = 0;
    this.#skipped = 0;
    this.#lastEndNs = 0;
    this.#idHigh = Number.parseInt(header.ringId.slice(0, 8), 16);
    this.#source = { ints: this.#ints, bytes, definitions };
    trimShapes(definitions);
    this.#budget.reset();
    this.#logs.reset(Math.floor(words / EVENT_WORDS.log) + DAMAGED_ROWS_MAX + 1);
    this.#measures.reset(Math.floor(words / EVENT_WORDS.measure));
    this.#spans.reset(Math.floor(words / EVENT_WORDS.begin));
    this.#closes.reset(Math.floor(words / EVENT_WORDS.end));
    this.#timeline = new Timeline(header, timeline);
    if (timeline === undefined && first > 0) this.#approximate(words);
    const taken = this.#take(words, first, header.ringBytes / 8);
    if (this.#damaged > DAMAGED_ROWS_MAX)
      this.#note("damaged", "parts of the ring cannot be read", { parts: this.#damaged });
    const origin: BlockOrigin = {
      first,
      end: first + taken,
      isFinal,
      ...(this.#skipped === 0 ? {} : { skipped: this.#skipped }),
      timeline: this.#timeline.state,
      stream: {
        streamId: header.ringId,
        threadId: header.threadId,
        startNs: this.#timeline.epochNs.toString(),
      },
      process: writer,
    };
    return this.#finish(origin);
  }

  /** Takes the ring's time from the first anchor, where nobody knows that of the beginning. */
  #approximate(words: number): void {
    const ints = this.#ints;
    for (let at = 0; at < words; ) {
      const head = ints[2 * at]!;
      const length = head & 0xffff;
      if (length === 0 || at + length > words) return;
      if (((head >>> 16) & 0xff) === EVENT.anchor && length >= EVENT_WORDS.anchor) {
        const anchor = anchorAt(this.#viewOf(at, EVENT_WORDS.anchor), 0);
        if (Timeline.isAnchor(anchor)) this.#timeline.approximate({ ...anchor, aheadNs: 0 });
        return;
      }
      at += length;
    }
  }

  /** A record as its reader sees it, for those that come seldom. */
  #viewOf(at: number, words: number): DataView {
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + 8 * at, 8 * words);
  }

  /** @returns how many words were taken */
  #take(words: number, first: number, ringWords: number): number {
    const ints = this.#ints;
    const doubles = new Float64Array(this.#bytes.buffer, this.#bytes.byteOffset, words);
    const timeline = this.#timeline;
    const definitions = this.#definitions;
    const spans = this.#spans;
    const measures = this.#measures;
    const start = first % TWO_32;
    const mask = ringWords - 1;
    let at = 0;
    while (at < words) {
      const i = 2 * at;
      const head = ints[i]!;
      const length = head & 0xffff;
      const position = (start + at) >>> 0;
      const isHere = ints[i + 1] === (position | 0) && (position & mask) + length <= ringWords;
      if (length === 0 || !isHere || (at + length > words && at === 0)) {
        // Where the next record begins nobody can say.
        this.#damage(`there is no record at word ${first + at}`);
        return words;
      }
      // It goes on behind the words that were copied.
      if (at + length > words) return at;
      const flags = head >>> 24;
      switch ((head >>> 16) & 0xff) {
        case EVENT.begin: {
          if (length < EVENT_WORDS.begin) {
            this.#damage(`a record of ${length} words`);
            break;
          }
          const timeNs = timeline.at(doubles[at + TICK_DOUBLE]!);
          const definition = ints[i + BEGIN_DEFINITION]! >>> 0;
          const kind = (ints[i + BEGIN_SHAPE]! >>> KIND_SHIFT) & 0xff;
          if (kind >= KINDS) this.#damage(`no span has the kind ${kind}`);
          else if (flags !== 0 || definition === 0) this.#beginWith(i, length, flags, timeNs);
          else this.#begin(i, timeNs, spans.names.codeOf(definition, definitions), false);
          break;
        }
        case EVENT.end:
          if (length < EVENT_WORDS.end) this.#damage(`a record of ${length} words`);
          else this.#end(i, length, flags, timeline.at(doubles[at + TICK_DOUBLE]!));
          break;
        case EVENT.measure: {
          if (length < EVENT_WORDS.measure) {
            this.#damage(`a record of ${length} words`);
            break;
          }
          const timeNs = timeline.at(doubles[at + TICK_DOUBLE]!);
          const definition = ints[i + MEASURE_DEFINITION]! >>> 0;
          const value = doubles[at + MEASURE_VALUE_DOUBLE]!;
          if (flags !== 0 || definition === 0) this.#measureWith(i, length, flags, timeNs, value);
          else {
            const row = measures.rows++;
            measures.time[row] = timeNs;
            measures.definition[row] = measures.names.codeOf(definition, definitions);
            measures.value[row] = value;
            measures.properties.skip();
          }
          break;
        }
        case EVENT.log:
          if (length < EVENT_WORDS.log) this.#damage(`a record of ${length} words`);
          else this.#log(i, length, flags, timeline.at(doubles[at + TICK_DOUBLE]!));
          break;
        case EVENT.pad:
          break;
        default:
          this.#other(at, length, (head >>> 16) & 0xff);
      }
      at += length;
    }
    return at;
  }

  /** @param i index of the record's first int, here as below */
  #begin(i: number, timeNs: number, code: number, isRemote: boolean): number {
    const ints = this.#ints;
    const spans = this.#spans;
    const row = spans.rows++;
    const sequence = ints[i + BEGIN_SPAN]! >>> 0;
    const shape = ints[i + BEGIN_SHAPE]!;
    spans.status[row] = OPEN;
    spans.definition[row] = code;
    spans.begin[row] = timeNs;
    spans.duration[row] = 0;
    spans.sequence[row] = sequence;
    const parent = ints[i + BEGIN_PARENT]! >>> 0;
    if (isRemote) {
      // As it is in the header of a request, so the first byte first.
      const view = this.#viewOf(i / 2 + EVENT_WORDS.begin, 1);
      this.#elsewhere(row, view.getUint32(4), view.getUint32(0));
    } else if (parent === 0) spans.parentRow[row] = NO_PARENT;
    else {
      const above = spans.rowOf(parent);
      if (above >= 0) spans.parentRow[row] = above;
      else this.#elsewhere(row, parent, this.#idHigh);
    }
    const t = 4 * row;
    const { traces, properties } = spans;
    traces[t] = ints[i + BEGIN_TRACE]!;
    traces[t + 1] = ints[i + BEGIN_TRACE + 1]!;
    traces[t + 2] = ints[i + BEGIN_TRACE + 2]!;
    traces[t + 3] = ints[i + BEGIN_TRACE + 3]!;
    spans.depth[row] = shape;
    const isAsync = (shape >>> BITS_SHIFT) & SPAN_BITS.asynchronous;
    spans.flags[row] = ((shape >>> KIND_SHIFT) & 0xff) | (isAsync << 4);
    properties[t] = 0;
    properties[t + 2] = 0;
    spans.truncated[row] = 0;
    spans.remember(sequence, row);
    return row;
  }

  #elsewhere(row: number, low: number, high: number): void {
    const spans = this.#spans;
    spans.parentRow[row] = PARENT_ELSEWHERE;
    spans.parentLow[spans.elsewhere] = low;
    spans.parentHigh[spans.elsewhere++] = high;
  }

  /** A beginning that has more than its fixed words. */
  #beginWith(i: number, length: number, flags: number, timeNs: number): void {
    const spans = this.#spans;
    const end = i + 2 * length;
    const isRemote = (flags & EVENT_FLAGS.remoteParent) !== 0;
    const fixed = i + 2 * EVENT_WORDS.begin + (isRemote ? 2 : 0);
    if (fixed > end) return this.#damage("a span without its parent");
    const named = this.#named(this.#ints[i + BEGIN_DEFINITION]!, fixed, end, DEFINITION.span);
    if (named === undefined) return;
    const at = this.#propertiesAt(flags, named.at, end);
    if (at === DAMAGED) return;
    const { definition } = named;
    const code =
      definition === undefined
        ? spans.names.codeOf(this.#ints[i + BEGIN_DEFINITION]! >>> 0, this.#definitions)
        : spans.names.codeOfTexts(definition);
    const row = this.#begin(i, timeNs, code, isRemote);
    if (at !== NONE) {
      spans.properties[4 * row] = at;
      spans.properties[4 * row + 1] = end;
      spans.hasProperties = true;
    }
    if ((flags & EVENT_FLAGS.truncated) !== 0) {
      spans.truncated[row] = 1;
      spans.hasProperties = true;
    }
  }

  #end(i: number, length: number, flags: number, timeNs: number): void {
    const ints = this.#ints;
    const spans = this.#spans;
    const end = i + 2 * length;
    const at = this.#propertiesAt(flags, i + 2 * EVENT_WORDS.end, end);
    if (at === DAMAGED) return;
    const sequence = ints[i + END_SPAN]! >>> 0;
    const status = ints[i + END_STATUS] === 0 ? 0 : 1;
    const isTruncated = (flags & EVENT_FLAGS.truncated) !== 0;
    this.#lastEndNs = timeNs;
    const row = spans.rowOf(sequence);
    if (row >= 0 && spans.status[row] === OPEN) {
      spans.status[row] = status;
      spans.duration[row] = timeNs - spans.begin[row]!;
      if (at === NONE && !isTruncated) return;
      spans.hasProperties = true;
      if (isTruncated) spans.truncated[row] = 1;
      if (at === NONE) return;
      spans.properties[4 * row + 2] = at;
      spans.properties[4 * row + 3] = end;
      return;
    }
    const closes = this.#closes;
    const close = closes.rows++;
    closes.status[close] = status;
    closes.end[close] = timeNs;
    closes.sequence[close] = sequence;
    if (at === NONE && !isTruncated) closes.properties.skip();
    else closes.properties.add(this.#source, at, end, NONE, 0, isTruncated);
  }

  #measureWith(i: number, length: number, flags: number, timeNs: number, value: number): void {
    const measures = this.#measures;
    const end = i + 2 * length;
    const fixed = i + 2 * EVENT_WORDS.measure;
    const named = this.#named(this.#ints[i + MEASURE_DEFINITION]!, fixed, end, DEFINITION.measure);
    if (named === undefined) return;
    const at = this.#propertiesAt(flags, named.at, end);
    if (at === DAMAGED) return;
    const { definition } = named;
    const row = measures.rows++;
    measures.time[row] = timeNs;
    measures.definition[row] =
      definition === undefined
        ? measures.names.codeOf(this.#ints[i + MEASURE_DEFINITION]! >>> 0, this.#definitions)
        : measures.names.codeOfTexts(definition);
    measures.value[row] = value;
    const isTruncated = (flags & EVENT_FLAGS.truncated) !== 0;
    measures.properties.add(this.#source, at, end, NONE, 0, isTruncated);
  }

  #log(i: number, length: number, flags: number, timeNs: number): void {
    const ints = this.#ints;
    const logs = this.#logs;
    const end = i + 2 * length;
    const level = ints[i + LOG_LEVEL]! >>> 0;
    if (level >= LEVELS.length) return this.#damage(`no log has the level ${level}`);
    const fixed = i + 2 * EVENT_WORDS.log;
    const message = ints[i + LOG_MESSAGE]! >>> 0;
    let code: number;
    let at: number;
    if (message !== 0) {
      at = this.#propertiesAt(flags, fixed, end);
      if (at === DAMAGED) return;
      code = logs.messages.codeOf(message, this.#definitions);
    } else {
      const word = fixed < end ? ints[fixed]! : 0;
      const behind = fixed + 1 + (((word >>> 8) + 3) >> 2);
      const isPlain = (word & 0xff) === VALUE.text && behind <= end;
      const named = isPlain ? undefined : this.#named(message, fixed, end, DEFINITION.text);
      if (!isPlain && named === undefined) return;
      at = this.#propertiesAt(flags, named?.at ?? behind, end);
      if (at === DAMAGED) return;
      const list = logs.messages.lists[0]!;
      if (isPlain) list.addBytes(this.#bytes, 4 * (fixed + 1), 4 * (fixed + 1) + (word >>> 8));
      else list.add(named!.definition!.text);
      logs.messages.pass();
      code = 0;
    }
    const row = this.#logRow(timeNs, level, code, ints[i + LOG_TARGET]! >>> 0);
    const sequence = ints[i + LOG_SPAN]! >>> 0;
    if (sequence !== 0) {
      logs.hasSpan[row] = 1;
      logs.span[logs.spans++] = sequence;
    }
    const isTruncated = (flags & EVENT_FLAGS.truncated) !== 0;
    logs.properties.add(this.#source, at, end, NONE, 0, isTruncated);
  }

  #logRow(timeNs: number, level: number, message: number, target: number): number {
    const logs = this.#logs;
    const row = logs.rows++;
    logs.time[row] = timeNs;
    logs.level[row] = level;
    logs.message[row] = message;
    logs.target[row] = logs.targets.codeOf(target, this.#definitions);
    logs.hasSpan[row] = 0;
    return row;
  }

  /** Anchors, gaps, and what is no record. */
  #other(at: number, length: number, type: number): void {
    switch (type) {
      case EVENT.anchor: {
        if (length < EVENT_WORDS.anchor) break;
        const anchor = anchorAt(this.#viewOf(at, EVENT_WORDS.anchor), 0);
        if (!Timeline.isAnchor(anchor)) return this.#damage("an anchor whose times are no numbers");
        const step = this.#timeline.turnTo(anchor);
        if (step === undefined) return;
        const { stepMs } = step;
        // The row has the time behind the step.
        this.#timeline.at(anchor.tick);
        const way = stepMs > 0 ? "forward" : "back";
        const message = `the clock was set ${way} by ${Math.abs(stepMs).toFixed(0)} ms`;
        return this.#note("clock", message, { stepMs });
      }
      case EVENT.gap: {
        if (length < EVENT_WORDS.gap) break;
        const view = this.#viewOf(at, EVENT_WORDS.gap);
        const fields = EVENT_AT.gap;
        // For its time to be that of the record.
        this.#timeline.at(view.getFloat64(RECORD_AT.tick, true));
        const count = (offset: number) => countOf(view.getFloat64(offset, true));
        return this.#note("gap", "events were refused, because the ring was full", {
          spans: count(fields.spans),
          measures: count(fields.measures),
          logs: count(fields.logs),
          severe: count(fields.severe),
          failed: count(fields.failed),
        });
      }
      default:
        if (type < SKIPPABLE_EVENTS) return this.#damage(`no record has the type ${type}`);
        this.#skipped++;
        return;
    }
    this.#damage(`a record of ${length} words`);
  }

  /** What a record is of, where its number is 0; and where properties begin. Undefined for what is damaged. */
  #named(id: number, fixed: number, end: number, kind: number) {
    if (id !== 0) return { definition: undefined, at: fixed };
    try {
      const values = this.#values.seek(4 * fixed, 4 * end);
      const definition = readDefinition(kind, values);
      return { definition, at: values.position / 4 };
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      this.#damage(error.message);
      return undefined;
    }
  }

  /** @returns {@link NONE}, or {@link DAMAGED} when that was told */
  #propertiesAt(flags: number, at: number, end: number): number {
    if ((flags & EVENT_FLAGS.properties) === 0) return NONE;
    if (arePropertiesSound(this.#ints, at, end)) return at;
    this.#damage("properties that cannot be read");
    return DAMAGED;
  }

  #damage(reason: string): void {
    if (this.#damaged++ < DAMAGED_ROWS_MAX)
      this.#note("damaged", "a part of the ring cannot be read", { reason });
  }

  /** A row about the ring itself. */
  #note(kind: string, message: string, properties: EventProperties): void {
    const logs = this.#logs;
    const code = logs.messages.codeOfTexts({ ...NOTHING, text: message });
    const row = logs.rows++;
    // Not before what came before.
    logs.time[row] = this.#timeline.at(Number.NEGATIVE_INFINITY);
    logs.level[row] = WARN;
    logs.message[row] = code;
    logs.target[row] = logs.targets.codeOfTexts({ ...NOTHING, text: `microview.${kind}` });
    logs.hasSpan[row] = 0;
    logs.properties.addJson(propertiesJson(properties));
  }

  #finish(origin: BlockOrigin): BuiltBlock {
    const writer = this.#writer.reset();
    const logs = this.#logs;
    const measures = this.#measures;
    const spans = this.#spans;
    const closes = this.#closes;
    const source = this.#source;
    const { epochNs } = this.#timeline;
    const idOffset = BigInt(this.#idHigh) << 32n;
    writeLogs(writer, {
      rows: logs.rows,
      level: logs.level,
      time: (to) => to.deltas(logs.time, logs.rows, epochNs),
      target: logs.target,
      targets: logs.targets.lists[0]!,
      message: logs.message,
      messages: logs.messages.lists[0]!,
      hasSpan: logs.hasSpan,
      spans: logs.spans,
      spanId: (to) => to.deltas(logs.span, logs.spans, idOffset),
      properties: (to) => logs.properties.write(to, source),
    });
    const [names, units, targets] = measures.names.lists as [TextList, TextList, TextList];
    this.#measureWriter.write(writer, {
      rows: measures.rows,
      definition: measures.definition,
      names,
      units,
      targets,
      time: (to) => to.deltas(measures.time, measures.rows, epochNs),
      value: measures.value,
      properties: (to) => measures.properties.write(to, source),
    });
    this.#spanProperties();
    const [spanNames, spanTargets, places] = spans.names.lists as [TextList, TextList, TextList];
    this.#tables.spans(writer, {
      rows: spans.rows,
      status: spans.status,
      definition: spans.definition,
      names: spanNames,
      targets: spanTargets,
      places,
      begin: (to) => to.deltas(spans.begin, spans.rows, epochNs),
      duration: (to) => to.numbers(spans.duration, spans.rows),
      id: (to) => to.deltas(spans.sequence, spans.rows, idOffset),
      parentRow: spans.parentRow,
      parentsElsewhere: (to) => to.pairDeltas(spans.parentLow, spans.parentHigh, spans.elsewhere),
      elsewhere: spans.elsewhere,
      traces: spans.traces,
      depth: spans.depth,
      flags: spans.flags,
      properties: (to) => spans.propertyTable.write(to, source),
    });
    writeCloses(writer, {
      rows: closes.rows,
      status: closes.status,
      end: (to) => to.deltas(closes.end, closes.rows, epochNs),
      id: (to) => to.deltas(closes.sequence, closes.rows, idOffset),
      properties: (to) => closes.properties.write(to, source),
    });
    let opens = 0;
    for (let i = 0; i < spans.rows; i++) if (spans.status[i] === OPEN) opens++;
    const rows = {
      logs: logs.rows,
      measures: measures.rows,
      spans: spans.rows - opens,
      opens,
      closes: closes.rows,
    };
    return finishBlock(origin, rows, this.#times(), writer.bytes(), this.#zstd);
  }

  #spanProperties(): void {
    const spans = this.#spans;
    if (!spans.hasProperties) return;
    const { properties } = spans;
    for (let row = 0; row < spans.rows; row++) {
      const at = properties[4 * row]!;
      const laterAt = properties[4 * row + 2]!;
      const isTruncated = spans.truncated[row] !== 0;
      // No properties are where the first record begins.
      if (at === 0 && laterAt === 0 && !isTruncated) spans.propertyTable.skip();
      else
        spans.propertyTable.add(
          this.#source,
          at === 0 ? NONE : at,
          properties[4 * row + 1]!,
          laterAt === 0 ? NONE : laterAt,
          properties[4 * row + 3]!,
          isTruncated,
        );
    }
  }

  /** In a ring times do not go back: the first rows of the tables have the least, the last ones and ends the greatest. */
  #times(): { beginNs: bigint; endNs: bigint } | undefined {
    const { epochNs } = this.#timeline;
    const tables = [
      [this.#logs.rows, this.#logs.time],
      [this.#measures.rows, this.#measures.time],
      [this.#spans.rows, this.#spans.begin],
      [this.#closes.rows, this.#closes.end],
    ] as const;
    const filled = tables.filter(([rows]) => rows > 0);
    if (filled.length === 0) return undefined;
    const begin = Math.min(...filled.map(([, times]) => times[0]!));
    const end = Math.max(...filled.map(([rows, times]) => times[rows - 1]!), this.#lastEndNs);
    return { beginNs: epochNs + BigInt(begin), endNs: epochNs + BigInt(end) };
  }
}

/** In the place of where properties are. */
const NONE = -1;
const DAMAGED = -2;

function aligned(words: Uint8Array): Uint8Array<ArrayBuffer> {
  return words.byteOffset % 8 === 0 && words.buffer instanceof ArrayBuffer
    ? (words as Uint8Array<ArrayBuffer>)
    : new Uint8Array(words);
}
