// How the tables of a block are laid out in its payload: the one place that writes them, for blocks out of rings and of
// columns alike. `decode.ts` reads them, in the same order.

import type { ColumnWriter, TextList } from "./planes.ts";

/** In the place of a row: the span has no parent, or one that began in an earlier block. */
export const NO_PARENT = -1;
export const PARENT_ELSEWHERE = -2;

/** Status of a span whose end is not in the block. */
export const OPEN = 2;

/** Sections of a payload by their kind. Unknown ones from {@link SKIPPABLE_SECTIONS} up may be left out. */
export const SECTION = { logs: 1, measures: 2, spans: 3, closes: 4 } as const;
export const SKIPPABLE_SECTIONS = 0x80;

/** How properties are stored. */
export const PROPERTIES = { none: 0, texts: 1, shapes: 2 } as const;

/** A column of 64 bits, which knows how it writes itself. */
export type Longs = (writer: ColumnWriter) => void;

/** How parents are written: not at all, as the next of those elsewhere, or by the distance of their row. */
export const PARENT = { none: 0, elsewhere: 1, distance: 2 } as const;
/** How traces are written: the parent's, the next new one, or by the number of one that was there. */
export const TRACE = { parents: 0, new: 1, known: 2 } as const;

/** Numbers for what comes in rows, in the order in which it first comes: 0 says that it is the next new one. */
export class FirstSeen {
  readonly #numbers = new Map<unknown, number>();

  /** How many came. */
  get count(): number {
    return this.#numbers.size;
  }

  /** @returns 0 when it is new */
  codeOf(key: unknown): number {
    const number = this.#numbers.get(key);
    if (number !== undefined) return number;
    this.#numbers.set(key, this.#numbers.size + 1);
    return 0;
  }
}

/** Spans, those that are open among them. */
export interface SpanTable {
  rows: number;
  status: Uint8Array;
  /** {@link FirstSeen} codes. */
  definition: Uint32Array;
  names: TextList;
  targets: TextList;
  places: TextList;
  begin: Longs;
  duration: Longs;
  id: Longs;
  /** Row of the parent, which is before; {@link NO_PARENT}, {@link PARENT_ELSEWHERE}. */
  parentRow: Int32Array;
  parentsElsewhere: Longs;
  elsewhere: number;
  /** Four words for each row. */
  traces: Uint32Array;
  depth: Uint16Array;
  /** Kind, and 16 where it is asynchronous. */
  flags: Uint8Array;
  properties: Longs;
}

export class TableWriter {
  #codes = new Uint32Array(1024);
  readonly #traces = new TraceTable();

  spans(writer: ColumnWriter, table: SpanTable): void {
    const { rows, parentRow, depth } = table;
    if (rows === 0) return;
    const section = writer.section(SECTION.spans, rows);
    writer.octets(table.status, rows);
    writer.uints(table.definition, rows);
    for (const texts of [table.names, table.targets, table.places]) writer.texts(texts);
    table.begin(writer);
    table.duration(writer);
    table.id(writer);
    const codes = this.#codesFor(rows);
    for (let i = 0; i < rows; i++) {
      const parent = parentRow[i]!;
      if (parent >= 0) codes[i] = PARENT.distance + (i - parent - 1);
      else codes[i] = parent === PARENT_ELSEWHERE ? PARENT.elsewhere : PARENT.none;
    }
    writer.uints(codes, rows);
    writer.u32(table.elsewhere);
    table.parentsElsewhere(writer);
    this.#traceCodes(codes, table);
    writer.uints(codes, rows);
    this.#traces.write(writer);
    // One more than the parent's, nearly always.
    for (let i = 0; i < rows; i++) {
      const parent = parentRow[i]!;
      const expected = parent >= 0 ? depth[parent]! + 1 : 0;
      codes[i] = (depth[i]! - expected) & 0xffff;
    }
    writer.uints(codes, rows);
    writer.uints(table.flags, rows);
    table.properties(writer);
    writer.endSection(section);
  }

  #traceCodes(codes: Uint32Array, { rows, parentRow, traces }: SpanTable): void {
    const known = this.#traces.reset();
    for (let i = 0; i < rows; i++) {
      const at = 4 * i;
      const above = 4 * parentRow[i]!;
      codes[i] =
        above >= 0 &&
        traces[at + 3] === traces[above + 3] &&
        traces[at + 2] === traces[above + 2] &&
        traces[at + 1] === traces[above + 1] &&
        traces[at] === traces[above]
          ? TRACE.parents
          : known.codeOf(traces, at);
    }
  }

  #codesFor(rows: number): Uint32Array {
    if (this.#codes.length < rows) this.#codes = new Uint32Array(rows * 2);
    return this.#codes;
  }
}

/** The traces of a block, each once, found again by a table of open addressing. */
class TraceTable {
  #slots = new Int32Array(256).fill(-1);
  #words = new Uint32Array(512);
  #count = 0;

  reset(): this {
    if (this.#count > 0) this.#slots.fill(-1);
    this.#count = 0;
    return this;
  }

  /** @returns {@link TRACE} */
  codeOf(traces: Uint32Array, at: number): number {
    if (2 * this.#count >= this.#slots.length) this.#grow();
    const slots = this.#slots;
    const words = this.#words;
    const mask = slots.length - 1;
    let slot = Math.imul(traces[at + 3]! ^ traces[at]!, 0x9e3779b1) >>> 8;
    for (;;) {
      slot &= mask;
      const known = slots[slot]!;
      if (known < 0) break;
      const w = 4 * known;
      if (
        words[w] === traces[at] &&
        words[w + 1] === traces[at + 1] &&
        words[w + 2] === traces[at + 2] &&
        words[w + 3] === traces[at + 3]
      )
        return TRACE.known + known;
      slot++;
    }
    slots[slot] = this.#count;
    for (let i = 0; i < 4; i++) words[4 * this.#count + i] = traces[at + i]!;
    this.#count++;
    return TRACE.new;
  }

  write(writer: ColumnWriter): void {
    writer.u32(this.#count);
    writer.raw(new Uint8Array(this.#words.buffer, 0, 16 * this.#count));
  }

  #grow(): void {
    const words = this.#words;
    const count = this.#count;
    this.#slots = new Int32Array(this.#slots.length * 4).fill(-1);
    this.#words = new Uint32Array(2 * this.#slots.length);
    this.#count = 0;
    for (let i = 0; i < count; i++) this.codeOf(words, 4 * i);
  }
}

/** Logs. */
export interface LogTable {
  rows: number;
  level: Uint8Array;
  time: Longs;
  /** {@link FirstSeen} codes. */
  target: Uint32Array;
  targets: TextList;
  message: Uint32Array;
  messages: TextList;
  /** 1 where there is a span; their ids follow one another. */
  hasSpan: Uint8Array;
  spans: number;
  spanId: Longs;
  properties: Longs;
}

export function writeLogs(writer: ColumnWriter, table: LogTable): void {
  const { rows } = table;
  if (rows === 0) return;
  const section = writer.section(SECTION.logs, rows);
  writer.octets(table.level, rows);
  table.time(writer);
  writer.uints(table.target, rows);
  writer.texts(table.targets);
  writer.uints(table.message, rows);
  writer.texts(table.messages);
  writer.uints(table.hasSpan, rows);
  writer.u32(table.spans);
  table.spanId(writer);
  table.properties(writer);
  writer.endSection(section);
}

/** Values of measures. Those of one definition lie together, so that each is written in its own way. */
export interface MeasureTable {
  rows: number;
  /** {@link FirstSeen} codes. */
  definition: Uint32Array;
  names: TextList;
  units: TextList;
  targets: TextList;
  time: Longs;
  value: Float64Array;
  properties: Longs;
}

/** How values of one definition are written: as whole numbers of 10^−n, or, with this number, bit by bit. */
export const VALUES_AS_DOUBLES = 255;
const SCALES = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9] as const;
/** A number divided by this is what it was: both sides know it. */
export function scaleOf(digits: number): number | undefined {
  return SCALES[digits];
}

/** Writes doubles that have few digits after the point as whole numbers. */
export class DecimalWriter {
  #scaled = new Float64Array(1024);

  write(writer: ColumnWriter, values: Float64Array, from: number, to: number): void {
    if (this.#scaled.length < to - from) this.#scaled = new Float64Array((to - from) * 2);
    const digits = this.#digits(values, from, to);
    writer.u8(digits);
    if (digits === VALUES_AS_DOUBLES) writer.doubles(values.slice(from, to), to - from);
    else writer.numbers(this.#scaled, to - from);
  }

  /** How many digits after the point all of them have, to the last bit; their multiples are in the scratch array then. */
  #digits(values: Float64Array, from: number, to: number): number {
    const scaled = this.#scaled;
    let digits = 0;
    let scale = 1;
    let since = from;
    for (let i = from; i < to; i++) {
      const value = values[i]!;
      let whole = Math.round(value * scale);
      // Not a number, infinite, too many digits, or too large.
      while (!(whole / scale === value && whole < WHOLE_MAX && whole > -WHOLE_MAX)) {
        const finer = SCALES[++digits];
        if (finer === undefined) return VALUES_AS_DOUBLES;
        scale = finer;
        whole = Math.round(value * scale);
        since = i;
      }
      if (value === 0 && 1 / value < 0) return VALUES_AS_DOUBLES;
      scaled[i - from] = whole;
    }
    // Those before the one with the most digits.
    for (let i = from; i < since; i++) {
      const whole = Math.round(values[i]! * scale);
      if (!(whole / scale === values[i] && whole < WHOLE_MAX && whole > -WHOLE_MAX))
        return VALUES_AS_DOUBLES;
      scaled[i - from] = whole;
    }
    return digits;
  }
}

const WHOLE_MAX = 2 ** 51;

export class MeasureWriter {
  readonly #decimals = new DecimalWriter();
  #bucket = new Uint32Array(64);
  #sorted = new Float64Array(1024);

  write(writer: ColumnWriter, table: MeasureTable): void {
    const { rows, definition } = table;
    if (rows === 0) return;
    const section = writer.section(SECTION.measures, rows);
    writer.uints(definition, rows);
    for (const texts of [table.names, table.units, table.targets]) writer.texts(texts);
    table.time(writer);
    this.#values(writer, table);
    table.properties(writer);
    writer.endSection(section);
  }

  #values(writer: ColumnWriter, { rows, definition, names, value }: MeasureTable): void {
    if (this.#sorted.length < rows) this.#sorted = new Float64Array(rows * 2);
    const { count } = names;
    if (this.#bucket.length < count + 1) this.#bucket = new Uint32Array(2 * count + 1);
    const bucket = this.#bucket.fill(0, 0, count + 1);
    let next = 0;
    for (let i = 0; i < rows; i++) {
      const code = definition[i]!;
      bucket[code === 0 ? ++next : code]!++;
    }
    let start = 0;
    for (let id = 1; id <= count; id++) {
      const size = bucket[id]!;
      bucket[id] = start;
      start += size;
    }
    const sorted = this.#sorted;
    next = 0;
    for (let i = 0; i < rows; i++) {
      const code = definition[i]!;
      sorted[bucket[code === 0 ? ++next : code]!++] = value[i]!;
    }
    let from = 0;
    for (let id = 1; id <= count; id++) {
      const to = bucket[id]!;
      this.#decimals.write(writer, sorted, from, to);
      from = to;
    }
  }
}

export interface CloseTable {
  rows: number;
  status: Uint8Array;
  end: Longs;
  id: Longs;
  properties: Longs;
}

export function writeCloses(writer: ColumnWriter, table: CloseTable): void {
  if (table.rows === 0) return;
  const section = writer.section(SECTION.closes, table.rows);
  writer.octets(table.status, table.rows);
  table.end(writer);
  table.id(writer);
  table.properties(writer);
  writer.endSection(section);
}
