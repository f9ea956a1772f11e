// Reads what columns of a block share: numbers with few digits, texts by code, and properties by their shapes.

import type { TextColumn } from "./columns.ts";
import type { ColumnReader } from "./planes.ts";
import { GAP, NUMBER_CHARACTERS, PROPERTIES_CHARACTERS_MAX } from "./shapes.ts";
import { PROPERTIES, scaleOf, VALUES_AS_DOUBLES } from "./tables.ts";

/** Whole numbers that are below 2⁵³, or are forged. */
function numbersOf(longs: BigInt64Array): Float64Array {
  const halves = new Int32Array(longs.buffer, longs.byteOffset, 2 * longs.length);
  const values = new Float64Array(longs.length);
  for (let i = 0; i < longs.length; i++)
    values[i] = halves[2 * i + 1]! * 2 ** 32 + (halves[2 * i]! >>> 0);
  return values;
}

export function decodeDecimals(reader: ColumnReader, size: number): Float64Array {
  const digits = reader.u8();
  if (digits === VALUES_AS_DOUBLES) return reader.doubles(size);
  const scale = scaleOf(digits);
  if (scale === undefined) reader.fail(`values with ${digits} digits`);
  const values = new Float64Array(size);
  const wholes = numbersOf(reader.longs(size));
  for (let i = 0; i < size; i++) values[i] = wholes[i]! / scale;
  return values;
}

/** Codes in the order of first appearance become numbers. @returns how many there are */
export function resolve(reader: ColumnReader, codes: Uint32Array): number {
  let next = 0;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code > next) reader.fail(`row ${i} has text ${code}, where ${next} have come`);
    codes[i] = code === 0 ? next++ : code - 1;
  }
  return next;
}

export function listOf(reader: ColumnReader, count: number): string[] {
  const texts = reader.texts(count);
  if (texts.length !== count) reader.fail(`${texts.length} texts where ${count} are named`);
  return texts;
}

export function textColumn(reader: ColumnReader, rows: number): TextColumn {
  const index = reader.uints(rows);
  return { index, texts: listOf(reader, resolve(reader, index)) };
}

const EMPTY = 0;
const NEW = 1;
const KNOWN = 2;

/** Fills in templates. What all of them make together is bounded: a template is stored once and read for each row. */
export class PropertyReader {
  readonly #reader: ColumnReader;
  #charactersLeft: number = PROPERTIES_CHARACTERS_MAX;

  constructor(reader: ColumnReader) {
    this.#reader = reader;
  }

  column(rows: number): TextColumn {
    const how = this.#reader.u8();
    switch (how) {
      case PROPERTIES.none:
        return { index: new Uint32Array(rows), texts: [""] };
      case PROPERTIES.texts:
        return textColumn(this.#reader, rows);
      case PROPERTIES.shapes:
        return this.#shapes(rows);
    }
    return this.#reader.fail(`no properties are stored in the way ${how}`);
  }

  #shapes(rows: number): TextColumn {
    const reader = this.#reader;
    const codes = reader.uints(rows);
    const sizes: number[] = [];
    for (let i = 0; i < rows; i++) {
      const code = codes[i]!;
      if (code === EMPTY) continue;
      const shape = code === NEW ? sizes.push(0) - 1 : code - KNOWN;
      if (shape >= sizes.length) reader.fail(`row ${i} has shape ${shape} of ${sizes.length}`);
      sizes[shape]!++;
      codes[i] = shape + 1;
    }
    const templates = listOf(reader, sizes.length);
    const filled = templates.map((template, shape) => this.#filled(template, sizes[shape]!));
    const index = new Uint32Array(rows);
    const texts = [""];
    const next = new Uint32Array(templates.length);
    for (let i = 0; i < rows; i++) {
      const code = codes[i]!;
      if (code === EMPTY) continue;
      const shape = code - 1;
      index[i] = texts.push(filled[shape]![next[shape]!++]!) - 1;
    }
    return { index, texts };
  }

  /** The rows of one template. */
  #filled(template: string, size: number): string[] {
    this.#spend(size * template.length);
    const rows: string[] = new Array(size).fill("");
    let from = 0;
    for (let at = 0; at <= template.length; at++) {
      // Above the gaps' characters nothing is one.
      if (at < template.length && template.charCodeAt(at) > GAP_MAX) continue;
      const literal = template.slice(from, at);
      from = at + 1;
      if (at === template.length) {
        for (let i = 0; i < size; i++) rows[i] += literal;
        break;
      }
      const values = this.#gap(template[at]!, size);
      for (let i = 0; i < size; i++) rows[i] += literal + values(i);
    }
    return rows;
  }

  #gap(gap: string, size: number): (row: number) => string {
    const reader = this.#reader;
    switch (gap) {
      case GAP.integer: {
        const values = numbersOf(reader.longs(size));
        this.#spend(NUMBER_CHARACTERS * size);
        return (row) => String(values[row]);
      }
      case GAP.number: {
        const values = decodeDecimals(reader, size);
        this.#spend(NUMBER_CHARACTERS * size);
        return (row) => {
          const value = values[row]!;
          return Number.isFinite(value) ? String(value) : `"${value}"`;
        };
      }
      case GAP.text:
      case GAP.json: {
        const { index, texts } = textColumn(reader, size);
        const shown = gap === GAP.json ? texts : texts.map((text) => JSON.stringify(text));
        for (let i = 0; i < size; i++) this.#spend(1 + shown[index[i]!]!.length);
        return (row) => shown[index[row]!]!;
      }
    }
    return reader.fail("a template with a gap that is none");
  }

  #spend(characters: number): void {
    this.#charactersLeft -= characters;
    if (this.#charactersLeft < 0)
      this.#reader.fail(`properties of more than ${PROPERTIES_CHARACTERS_MAX} characters`);
  }
}

const GAP_MAX = 4;
