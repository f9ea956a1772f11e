// Rows of blocks on their way to a file: gathered as typed arrays, put in order, and appended to a table of DuckDB's from
// which the file is copied. One column here may become several there; the statement that copies says how.

import { BulkAppender, type Database, TEXT_REFERENCE_BYTES, TextHeap } from "../../duckdb/index.ts";
import type { TextColumn } from "../../layout/index.ts";
import { PropertyTexts } from "./property-texts.ts";

const WORDS_PER_TEXT = TEXT_REFERENCE_BYTES / 4;
const HEX = Uint32Array.from({ length: 1 << 16 }, (_, i) => {
  const text = i.toString(16).padStart(4, "0");
  return [...text].reduce((word, digit, at) => word | (digit.charCodeAt(0) << (8 * at)), 0);
});

/** How a column's values lie in memory. */
type Kind = "long" | "double" | "byte" | "short" | "int" | "text" | "id" | "trace" | "properties";

const SQL_TYPES: Readonly<Record<Kind, string>> = {
  long: "BIGINT",
  double: "DOUBLE",
  byte: "UTINYINT",
  short: "USMALLINT",
  int: "INTEGER",
  text: "VARCHAR",
  id: "VARCHAR",
  trace: "VARCHAR",
  properties: "MAP(VARCHAR, VARCHAR)",
};

export type StagingColumns = Readonly<Record<string, Kind>>;

/** Texts that rows refer to. Those of one batch of blocks, whatever they become. */
export class BatchTexts {
  readonly heap = new TextHeap();
  properties = new PropertyTexts(this.heap);

  clear(): void {
    this.heap.clear();
    this.properties = new PropertyTexts(this.heap);
  }
}

/** Values of one column for the rows of a part, which come from one block. */
export type PartColumn =
  | BigInt64Array
  | BigUint64Array
  | Float64Array
  | Uint8Array
  | Uint16Array
  | TextColumn
  | readonly [high: BigUint64Array, low: BigUint64Array]
  /** The same for all rows. */
  | number;

interface Part {
  rows: number;
  columns: Readonly<Record<string, PartColumn>>;
}

/** The rows of a batch for one kind of file. */
export class Staging {
  rows = 0;
  readonly #parts: Part[] = [];

  constructor(
    readonly table: string,
    readonly columns: StagingColumns,
    /** What its rows are put in order by. */
    readonly timeColumn: string | undefined,
  ) {}

  add(rows: number, columns: Part["columns"]): void {
    if (rows === 0) return;
    this.#parts.push({ rows, columns });
    this.rows += rows;
  }

  clear(): void {
    this.#parts.length = 0;
    this.rows = 0;
  }

  /** What creates its table. */
  get createSql(): string {
    const columns = Object.entries(this.columns).map(
      ([name, kind]) => `${name} ${SQL_TYPES[kind]}`,
    );
    return `CREATE TABLE ${this.table} (${columns.join(", ")})`;
  }

  /** Puts the parts' columns behind each other. */
  gather(texts: BatchTexts): GatheredRows {
    const { rows } = this;
    const { timeColumn } = this;
    const times = new BigInt64Array(timeColumn === undefined ? 0 : rows);
    let at = 0;
    for (const part of timeColumn === undefined ? [] : this.#parts) {
      times.set((part.columns[timeColumn!] as BigInt64Array).subarray(0, part.rows), at);
      at += part.rows;
    }
    const sizes = new Float64Array(rows);
    const gathered = Object.entries(this.columns).map(([name, kind]) => {
      const column = new GatheredColumn(kind, rows);
      for (const part of this.#parts) column.add(part.columns[name]!, part.rows, texts, sizes);
      return column;
    });
    return { times, sizes, columns: gathered };
  }

  /** Appends some of the rows to its table, in the order given. */
  async append(
    database: Database,
    texts: BatchTexts,
    { columns }: GatheredRows,
    order: Uint32Array,
  ): Promise<void> {
    const { api } = database;
    const { BIGINT, DOUBLE, UTINYINT, USMALLINT, INTEGER, VARCHAR, MAP } = api;
    const types = {
      ...{ long: BIGINT, double: DOUBLE, byte: UTINYINT, short: USMALLINT, int: INTEGER },
      ...{ text: VARCHAR, id: VARCHAR, trace: VARCHAR, properties: MAP(VARCHAR, VARCHAR) },
    };
    const appender = await BulkAppender.open(
      database,
      this.table,
      columns.map(({ kind }) => types[kind]),
    );
    const { chunkRows } = appender;
    const room = columns.map(({ kind }) => new ChunkRoom(kind, chunkRows));
    for (let from = 0; from < order.length; from += chunkRows) {
      const count = Math.min(chunkRows, order.length - from);
      for (const [i, column] of columns.entries()) {
        room[i]!.fill(appender, i, column, order, from, count, texts);
      }
      appender.append(count);
    }
    appender.close();
  }
}

export interface GatheredRows {
  times: BigInt64Array;
  /** Bytes of each row's texts. A text that rows share is a few bytes in a block, and as many as it has in each row here. */
  sizes: Float64Array;
  columns: readonly GatheredColumn[];
}

/** A column of all rows: words of 8, 4, 2 or 1 bytes; of texts and properties their numbers. */
class GatheredColumn {
  /** 64-bit values as two words each. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly shorts: Uint16Array<ArrayBuffer>;
  /** First the high half of a trace's id, which has another two words. */
  readonly wordsPerRow: number;
  #rows = 0;

  constructor(
    readonly kind: Kind,
    rows: number,
  ) {
    this.wordsPerRow = { long: 2, double: 2, id: 2, trace: 4 }[kind as string] ?? 1;
    const isByte = kind === "byte";
    const isShort = kind === "short";
    this.bytes = new Uint8Array(isByte ? rows : 0);
    this.shorts = new Uint16Array(isShort ? rows : 0);
    this.words = new Uint32Array(isByte || isShort ? 0 : rows * this.wordsPerRow);
  }

  add(
    values: PartColumn,
    rows: number,
    { heap, properties }: BatchTexts,
    sizes: Float64Array,
  ): void {
    const at = this.#rows;
    this.#rows += rows;
    if (typeof values === "number") {
      const target = { byte: this.bytes, short: this.shorts }[this.kind as string] ?? this.words;
      target.fill(values, at, at + rows);
    } else if (values instanceof Uint8Array) this.bytes.set(values.subarray(0, rows), at);
    else if (values instanceof Uint16Array) this.shorts.set(values.subarray(0, rows), at);
    else if (Array.isArray(values)) this.#addTraces(values as never, rows, at);
    else if ("texts" in values) {
      const { texts, index } = values;
      const store = this.kind === "properties" ? properties : heap;
      // Only texts that a row has: what a block holds besides is nobody's.
      const numbers = new Int32Array(texts.length).fill(-1);
      const bytes = new Float64Array(texts.length);
      for (let i = 0; i < rows; i++) {
        const text = index[i]!;
        let number = numbers[text]!;
        if (number < 0) {
          number = texts[text] === "" ? 0 : store.add(texts[text]!);
          numbers[text] = number;
          bytes[text] = store.sizeOf(number);
        }
        this.words[at + i] = number;
        sizes[at + i]! += bytes[text]!;
      }
    } else {
      const { buffer, byteOffset } = values as BigInt64Array;
      this.words.set(new Uint32Array(buffer, byteOffset, rows * 2), at * 2);
    }
  }

  #addTraces(halves: readonly [BigUint64Array, BigUint64Array], rows: number, at: number): void {
    for (const [i, half] of halves.entries()) {
      const words = new Uint32Array(half.buffer, half.byteOffset, rows * 2);
      for (let row = 0; row < rows; row++) {
        const to = (at + row) * 4 + 2 * i;
        this.words[to] = words[2 * row]!;
        this.words[to + 1] = words[2 * row + 1]!;
      }
    }
  }
}

/** Memory in which a column's values for one chunk are put in order. */
class ChunkRoom {
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #shorts: Uint16Array<ArrayBuffer>;
  #keys = new Uint32Array(0);
  #values = new Uint32Array(0);
  /** Hexadecimal digits of ids. */
  readonly #ids: TextRows | undefined;

  constructor(kind: Kind, rows: number) {
    const words = { long: 2, double: 2, int: 1 }[kind as string] ?? WORDS_PER_TEXT;
    this.#words = new Uint32Array(rows * words);
    this.#bytes = new Uint8Array(this.#words.buffer);
    this.#shorts = new Uint16Array(this.#words.buffer);
    const digits = { id: 16, trace: 32 }[kind as string];
    this.#ids = digits === undefined ? undefined : new TextRows(rows, digits);
  }

  fill(
    appender: BulkAppender,
    i: number,
    column: GatheredColumn,
    order: Uint32Array,
    from: number,
    count: number,
    texts: BatchTexts,
  ): void {
    const words = this.#words;
    const source = column.words;
    switch (column.kind) {
      case "byte":
        for (let row = 0; row < count; row++) this.#bytes[row] = column.bytes[order[from + row]!]!;
        return appender.fill(i, words, 0, count);
      case "short":
        for (let row = 0; row < count; row++)
          this.#shorts[row] = column.shorts[order[from + row]!]!;
        return appender.fill(i, words, 0, count * 2);
      case "int":
        for (let row = 0; row < count; row++) words[row] = source[order[from + row]!]!;
        return appender.fill(i, words, 0, count * 4);
      case "long":
      case "double":
        for (let row = 0; row < count; row++) {
          const at = 2 * order[from + row]!;
          words[2 * row] = source[at]!;
          words[2 * row + 1] = source[at + 1]!;
        }
        return appender.fill(i, words, 0, count * 8);
      case "text":
        copyTexts(words, 0, texts.heap.references, source, order, from, count);
        return appender.fill(i, words, 0, count * TEXT_REFERENCE_BYTES);
      case "id":
      case "trace":
        this.#ids!.fill(source, column.wordsPerRow, order, from, count);
        return appender.fill(i, this.#ids!.references, 0, count * TEXT_REFERENCE_BYTES);
      case "properties":
        return this.#fillMaps(appender, i, source, order, from, count, texts);
    }
  }

  #fillMaps(
    appender: BulkAppender,
    i: number,
    maps: Uint32Array,
    order: Uint32Array,
    from: number,
    count: number,
    { heap, properties }: BatchTexts,
  ): void {
    const lists = this.#words;
    const { firsts, keys, values } = properties;
    let entries = 0;
    for (let row = 0; row < count; row++) {
      const map = maps[order[from + row]!]!;
      const length = firsts[map + 1]! - firsts[map]!;
      lists[4 * row] = entries;
      lists[4 * row + 1] = 0;
      lists[4 * row + 2] = length;
      lists[4 * row + 3] = 0;
      entries += length;
    }
    if (entries * WORDS_PER_TEXT > this.#keys.length) {
      this.#keys = new Uint32Array(entries * 2 * WORDS_PER_TEXT);
      this.#values = new Uint32Array(entries * 2 * WORDS_PER_TEXT);
    }
    const { references } = heap;
    let to = 0;
    for (let row = 0; row < count; row++) {
      const map = maps[order[from + row]!]!;
      for (let entry = firsts[map]!; entry < firsts[map + 1]!; entry++, to += WORDS_PER_TEXT) {
        const key = keys[entry]! * WORDS_PER_TEXT;
        const value = values[entry]! * WORDS_PER_TEXT;
        for (let word = 0; word < WORDS_PER_TEXT; word++) {
          this.#keys[to + word] = references[key + word]!;
          this.#values[to + word] = references[value + word]!;
        }
      }
    }
    appender.fillMaps(i, count, lists, entries, this.#keys, this.#values);
  }
}

function copyTexts(
  out: Uint32Array,
  to: number,
  references: Uint32Array,
  numbers: Uint32Array,
  order: Uint32Array,
  from: number,
  count: number,
): void {
  for (let row = 0, at = to; row < count; row++, at += WORDS_PER_TEXT) {
    const text = numbers[order[from + row]!]! * WORDS_PER_TEXT;
    out[at] = references[text]!;
    out[at + 1] = references[text + 1]!;
    out[at + 2] = references[text + 2]!;
    out[at + 3] = references[text + 3]!;
  }
}

/** Ids as texts of hexadecimal digits, the same number in each row; an id of zero is the empty text. */
class TextRows {
  readonly references: Uint32Array<ArrayBuffer>;
  readonly #digits: Uint32Array<ArrayBuffer>;
  readonly #addressLow: number;
  readonly #addressHigh: number;
  readonly #wordsPerId: number;

  constructor(rows: number, digits: number) {
    this.references = new Uint32Array(rows * WORDS_PER_TEXT);
    this.#wordsPerId = digits / 4;
    this.#digits = new Uint32Array(rows * this.#wordsPerId);
    const address = TextHeap.addressOf(this.#digits);
    this.#addressLow = address % 2 ** 32;
    this.#addressHigh = Math.floor(address / 2 ** 32);
  }

  fill(
    ids: Uint32Array,
    wordsPerRow: number,
    order: Uint32Array,
    from: number,
    count: number,
  ): void {
    const { references } = this;
    const digits = this.#digits;
    const perId = this.#wordsPerId;
    for (let row = 0; row < count; row++) {
      const at = order[from + row]! * wordsPerRow;
      let any = 0;
      let to = row * perId;
      // The low word of each half lies first in memory, and comes last in text.
      for (let half = 0; half < wordsPerRow; half += 2) {
        const low = ids[at + half]!;
        const high = ids[at + half + 1]!;
        any |= low | high;
        digits[to++] = HEX[high >>> 16]!;
        digits[to++] = HEX[high & 0xffff]!;
        digits[to++] = HEX[low >>> 16]!;
        digits[to++] = HEX[low & 0xffff]!;
      }
      const reference = row * WORDS_PER_TEXT;
      if (any === 0) {
        references.fill(0, reference, reference + WORDS_PER_TEXT);
        continue;
      }
      const low = this.#addressLow + row * perId * 4;
      references[reference] = perId * 4;
      references[reference + 1] = digits[row * perId]!;
      references[reference + 2] = low >>> 0;
      references[reference + 3] = this.#addressHigh + (low >= 2 ** 32 ? 1 : 0);
    }
  }
}
