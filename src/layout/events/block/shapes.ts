// Properties of many rows, stored by their shape. Rows whose properties have the same keys and kinds of values share one
// template of JSON with gaps, and what stands in a gap is a column. So neither keys nor punctuation come again, and numbers
// lie with numbers. `build.ts` fills this out of rings, `decode-properties.ts` reads it.

import { DamageError } from "../../bytes.ts";
import { EVENT_LIMITS, SKIPPABLE_EVENTS, VALUE } from "../constants.ts";
import type { Definitions } from "../definitions.ts";
import { type EventProperties, UNKNOWN_VALUE, ValueReader } from "../values.ts";
import { type ColumnWriter, TextList } from "./planes.ts";
import { DecimalWriter, PROPERTIES } from "./tables.ts";

/** What a gap in a template is filled with. JSON has no such characters. */
export const GAP = { integer: "\u0001", number: "\u0002", text: "\u0003", json: "\u0004" } as const;

/** Characters of all properties of a block together; who reads more is being cheated. */
export const PROPERTIES_CHARACTERS_MAX = 1 << 27;
/** What a builder lets them be at most, as far as it can tell without writing them out. */
const BUILT_CHARACTERS_MAX = PROPERTIES_CHARACTERS_MAX / 2;
/** Bytes of properties that are not stored by shape. */
const JSON_BYTES_MAX = 1 << 24;

/** What is left for the properties of a block. */
export class PropertyBudget {
  characters = 0;
  jsonBytes = 0;

  reset(): void {
    this.characters = BUILT_CHARACTERS_MAX;
    this.jsonBytes = JSON_BYTES_MAX;
  }
}

/** That a number has at most, with quotes for those that JSON has not. */
export const NUMBER_CHARACTERS = 26;
/** Templates of a table; rows of more shapes are stored as JSON. */
const SHAPES_MAX = 256;
/** Values of a record, as the reader of values has it. */
const VALUES_MAX = 2 * EVENT_LIMITS.attributes + 4;
const DEPTH_MAX = EVENT_LIMITS.depth + 4;
const SIGNATURE_MAX = 2 * VALUES_MAX + 2;
/** Between what a span had at its beginning and what it got later: no value begins with it. */
const THEN = -1;

/** Where to look for a row's properties. */
export interface PropertySource {
  ints: Int32Array;
  bytes: Uint8Array;
  definitions: Definitions;
}

interface Shape {
  signature: Int32Array;
  /** Undefined for what has to be written as JSON. */
  template: string | undefined;
}

/** Shapes of one ring. They depend on its definitions alone, so that blocks share them. */
class ShapeCache {
  readonly #shapes = new Map<number, Shape[]>();
  #count = 0;

  find(signature: Int32Array, length: number, hash: number): Shape | undefined {
    const same = this.#shapes.get(hash);
    if (same === undefined) return undefined;
    for (const shape of same) if (isSame(shape.signature, signature, length)) return shape;
    return undefined;
  }

  add(hash: number, shape: Shape): Shape {
    this.#count++;
    const same = this.#shapes.get(hash);
    if (same === undefined) this.#shapes.set(hash, [shape]);
    else same.push(shape);
    return shape;
  }

  /** Between blocks alone: within one, what a row is written as must not depend on what came before the block. */
  trim(): void {
    if (this.#count < 8 * SHAPES_MAX) return;
    this.#shapes.clear();
    this.#count = 0;
  }
}

const CACHES = new WeakMap<Definitions, ShapeCache>();

function isSame(a: Int32Array, b: Int32Array, length: number): boolean {
  if (a.length !== length) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Of the containers around a value: how many are left in them, and 1 for those that have keys. */
const LEFT = new Int32Array(DEPTH_MAX);
const KEYED = new Int32Array(DEPTH_MAX);

/**
 * Steps over properties, looking at all that a reader of values would trip over ({@link ValueReader}).
 * @param at index of their first int; `end` that of the one behind the record
 * @returns false when they are damaged
 */
export function arePropertiesSound(ints: Int32Array, at: number, end: number): boolean {
  if (at >= end || (ints[at]! & 0xff) !== VALUE.object) return false;
  let place = at + 1;
  let left = 2 * (ints[at]! >>> 8);
  let keyed = 1;
  let depth = 0;
  for (let values = 1; ; ) {
    while (left === 0) {
      if (depth === 0) return place <= end;
      left = LEFT[--depth]!;
      keyed = KEYED[depth]!;
    }
    if (place >= end || ++values > VALUES_MAX) return false;
    // Of pairs, the first is a key, and has to be a text.
    const isKey = (keyed & ~left & 1) === 1;
    left--;
    const word = ints[place]!;
    const count = word >>> 8;
    const tag = word & 0xff;
    switch (tag) {
      case VALUE.null:
      case VALUE.false:
      case VALUE.true:
        if (isKey) return false;
        place++;
        break;
      case VALUE.number:
        if (isKey) return false;
        place += 3;
        break;
      case VALUE.integer:
        if (isKey) return false;
        place += 2;
        break;
      case VALUE.text:
        place += 1 + ((count + 3) >> 2);
        break;
      case VALUE.cutText:
        place += 2 + ((count + 3) >> 2);
        break;
      case VALUE.object:
      case VALUE.array:
        if (isKey) return false;
        LEFT[depth] = left;
        KEYED[depth] = keyed;
        if (++depth >= DEPTH_MAX) return false;
        keyed = tag === VALUE.object ? 1 : 0;
        left = count << keyed;
        place++;
        break;
      default:
        if (tag >= SKIPPABLE_EVENTS) place += (count + 3) >> 2;
        else if (tag > VALUE.threw) return false;
        place++;
    }
  }
}

/** Properties of the rows of one table. */
export class PropertyTable {
  #rows = 0;
  #isAny = false;
  /** By row: its shape's number, from 1, and where its first gap's value is in `#gaps`. */
  #shapeOf = new Uint32Array(256);
  #firstGap = new Uint32Array(256);
  #gaps = new Int32Array(1024);
  #gapCount = 0;
  readonly #numbers = new Map<Shape, number>();
  readonly #templates: string[] = [];
  /** The number of the template that is one gap for JSON; 0 before there is one. */
  #json = 0;
  readonly #jsons: string[] = [];
  readonly #budget: PropertyBudget;
  readonly #signature = new Int32Array(SIGNATURE_MAX + 1);
  readonly #decimals = new DecimalWriter();
  #column = new Float64Array(256);
  #codes = new Uint32Array(256);
  #rowList = new Uint32Array(256);
  readonly #texts = new TextList();
  readonly #seen = new SeenTexts();

  /** @param budget of all tables of the block */
  constructor(budget: PropertyBudget) {
    this.#budget = budget;
  }

  reset(rows: number): this {
    this.#rows = 0;
    this.#isAny = false;
    this.#gapCount = 0;
    this.#numbers.clear();
    this.#templates.length = 0;
    this.#json = 0;
    this.#jsons.length = 0;
    if (this.#shapeOf.length < rows) {
      this.#shapeOf = new Uint32Array(rows * 2);
      this.#firstGap = new Uint32Array(rows * 2);
    }
    return this;
  }

  /** A row without properties. */
  skip(): void {
    this.#shapeOf[this.#rows++] = 0;
  }

  /** A row with properties that are no ring's. */
  addJson(json: string): void {
    this.#isAny = true;
    if (this.#json === 0) this.#json = this.#templates.push(GAP.json);
    const bytes = 3 * json.length;
    const hasRoom = this.#budget.jsonBytes >= bytes;
    if (hasRoom) this.#budget.jsonBytes -= bytes;
    const text = hasRoom ? json : TRUNCATED_JSON;
    this.#firstGap[this.#rows] = this.#jsons.push(text) - 1;
    this.#shapeOf[this.#rows++] = this.#json;
  }

  /**
   * A row with sound properties of a ring.
   * @param at index of their first int, −1 for none; `end` that of the one behind their record
   * @param laterAt the same for what a span got later
   */
  add(
    source: PropertySource,
    at: number,
    end: number,
    laterAt: number,
    laterEnd: number,
    isTruncated: boolean,
  ): void {
    if (at < 0 && laterAt < 0 && !isTruncated) return this.skip();
    this.#isAny = true;
    const signature = this.#signature;
    const firstGap = this.#gapCount;
    signature[0] = isTruncated ? 1 : 0;
    let length = 1;
    if (at >= 0) length = this.#sign(source.ints, at, length);
    if (laterAt >= 0) {
      signature[length++] = THEN;
      length = this.#sign(source.ints, laterAt, length);
    }
    let hash = length;
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ signature[i]!, 0x01000193);
    const number = this.#numberOf(source.definitions, length, hash);
    const ints = (at < 0 ? 0 : end - at) + (laterAt < 0 ? 0 : laterEnd - laterAt);
    // Six characters for each that JSON writes as an escape, and what a number has at most.
    const characters =
      (number === 0 ? 0 : this.#templates[number - 1]!.length) +
      NUMBER_CHARACTERS * (this.#gapCount - firstGap) +
      24 * ints;
    if (number === 0 || this.#budget.characters < characters) {
      this.#gapCount = firstGap;
      return this.addJson(jsonOf(source, at, end, laterAt, laterEnd, isTruncated));
    }
    this.#budget.characters -= characters;
    this.#firstGap[this.#rows] = firstGap;
    this.#shapeOf[this.#rows++] = number;
  }

  /** @returns 0 for what has to be written as JSON */
  #numberOf(definitions: Definitions, length: number, hash: number): number {
    const signature = this.#signature;
    const cache = cacheOf(definitions);
    let shape = cache.find(signature, length, hash);
    const number = shape === undefined ? undefined : this.#numbers.get(shape);
    if (number !== undefined) return number;
    if (this.#numbers.size >= SHAPES_MAX) return 0;
    shape ??= cache.add(hash, {
      signature: signature.slice(0, length),
      template: templateOf(signature, length, definitions),
    });
    const next = shape.template === undefined ? 0 : this.#templates.push(shape.template);
    this.#numbers.set(shape, next);
    return next;
  }

  /** Appends properties to the signature, and their gaps to the list. @returns the signature's length then */
  #sign(ints: Int32Array, at: number, length: number): number {
    const signature = this.#signature;
    let place = at;
    let into = length;
    let left = 1;
    for (; left > 0; left--) {
      const word = ints[place]!;
      const count = word >>> 8;
      switch (word & 0xff) {
        case VALUE.number:
          this.#gap(place);
          signature[into++] = VALUE.number;
          place += 3;
          continue;
        case VALUE.integer:
          this.#gap(place);
          signature[into++] = VALUE.integer;
          place += 2;
          continue;
        case VALUE.text:
          this.#gap(place);
          signature[into++] = VALUE.text;
          place += 1 + ((count + 3) >> 2);
          continue;
        case VALUE.cutText:
          this.#gap(place);
          signature[into++] = VALUE.text;
          place += 2 + ((count + 3) >> 2);
          continue;
        case VALUE.object:
          left += 2 * count;
          break;
        case VALUE.array:
          left += count;
          break;
        default:
          if ((word & 0xff) < SKIPPABLE_EVENTS) break;
          signature[into++] = SKIPPABLE_EVENTS;
          place += 1 + ((count + 3) >> 2);
          continue;
      }
      signature[into++] = word;
      place++;
    }
    return into;
  }

  #gap(place: number): void {
    if (this.#gapCount === this.#gaps.length) {
      const grown = new Int32Array(this.#gapCount * 2);
      grown.set(this.#gaps);
      this.#gaps = grown;
    }
    this.#gaps[this.#gapCount++] = place;
  }

  write(writer: ColumnWriter, source: PropertySource): void {
    const rows = this.#rows;
    if (!this.#isAny) return writer.u8(PROPERTIES.none);
    writer.u8(PROPERTIES.shapes);
    if (this.#codes.length < rows) {
      this.#codes = new Uint32Array(rows * 2);
      this.#column = new Float64Array(rows * 2);
      this.#rowList = new Uint32Array(rows * 2);
    }
    const codes = this.#codes;
    const shapeOf = this.#shapeOf;
    // Templates are numbered as rows first have them.
    const order: number[] = [];
    const placeOf = new Uint32Array(this.#templates.length + 1);
    for (let i = 0; i < rows; i++) {
      const number = shapeOf[i]!;
      if (number === 0) codes[i] = 0;
      else if (placeOf[number] === 0) {
        placeOf[number] = order.push(number);
        codes[i] = 1;
      } else codes[i] = placeOf[number]! + 1;
    }
    writer.uints(codes, rows);
    const templates = this.#texts.reset();
    for (const number of order) templates.add(this.#templates[number - 1]!);
    writer.texts(templates);
    for (const number of order) this.#columns(writer, source, number);
  }

  #columns(writer: ColumnWriter, source: PropertySource, number: number): void {
    const rowList = this.#rowList;
    let count = 0;
    for (let i = 0; i < this.#rows; i++) {
      if (this.#shapeOf[i] === number) rowList[count++] = this.#firstGap[i]!;
    }
    if (number === this.#json) return this.#jsonColumn(writer, count);
    let gap = 0;
    for (const character of this.#templates[number - 1]!) {
      switch (character) {
        case GAP.integer:
          this.#integers(writer, source, count, gap++);
          break;
        case GAP.number:
          this.#doubles(writer, source, count, gap++);
          break;
        case GAP.text:
          this.#textColumn(writer, source, count, gap++);
          break;
      }
    }
  }

  #jsonColumn(writer: ColumnWriter, count: number): void {
    const texts = this.#texts.reset();
    for (let i = 0; i < count; i++) {
      this.#codes[i] = 0;
      texts.add(this.#jsons[this.#rowList[i]!]!);
    }
    writer.uints(this.#codes, count);
    writer.texts(texts);
  }

  #integers(writer: ColumnWriter, { ints }: PropertySource, count: number, gap: number): void {
    const column = this.#column;
    for (let i = 0; i < count; i++) column[i] = ints[this.#gaps[this.#rowList[i]! + gap]! + 1]!;
    writer.numbers(column, count);
  }

  #doubles(writer: ColumnWriter, { ints }: PropertySource, count: number, gap: number): void {
    const column = this.#column;
    const halves = new Int32Array(column.buffer);
    for (let i = 0; i < count; i++) {
      const place = this.#gaps[this.#rowList[i]! + gap]!;
      halves[2 * i] = ints[place + 1]!;
      halves[2 * i + 1] = ints[place + 2]!;
    }
    this.#decimals.write(writer, column, 0, count);
  }

  #textColumn(writer: ColumnWriter, source: PropertySource, count: number, gap: number): void {
    const { ints, bytes } = source;
    const texts = this.#texts.reset();
    const seen = this.#seen.reset();
    for (let i = 0; i < count; i++) {
      const place = this.#gaps[this.#rowList[i]! + gap]!;
      const word = ints[place]!;
      if ((word & 0xff) === VALUE.cutText) {
        texts.add(textAt(source, place));
        this.#codes[i] = seen.pass();
        continue;
      }
      const length = word >>> 8;
      const code = seen.codeOf(ints, place + 1, length);
      this.#codes[i] = code;
      if (code === 0) texts.addBytes(bytes, 4 * (place + 1), 4 * (place + 1) + length);
    }
    writer.uints(this.#codes, count);
    writer.texts(texts);
  }
}

/** Texts of a column that came before. It forgets, rather than to look long: texts may come twice. */
class SeenTexts {
  readonly #slots = new Int32Array(1024).fill(-1);
  #hashes = new Int32Array(256);
  #places = new Int32Array(256);
  #lengths = new Int32Array(256);
  #numbers = new Int32Array(256);
  #known = 0;
  #count = 0;

  reset(): this {
    if (this.#known > 0) this.#slots.fill(-1);
    this.#known = 0;
    this.#count = 0;
    return this;
  }

  /** A text that is not looked for again. */
  pass(): number {
    this.#count++;
    return 0;
  }

  /** @returns 0 for a new one */
  codeOf(ints: Int32Array, place: number, length: number): number {
    const words = (length + 3) >> 2;
    let hash = length;
    for (let i = 0; i < words; i++) {
      hash = Math.imul(hash ^ ints[place + i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const slot = hash & (this.#slots.length - 1);
    const known = this.#slots[slot]!;
    if (known >= 0 && this.#hashes[known] === hash && this.#lengths[known] === length) {
      const before = this.#places[known]!;
      let i = 0;
      while (i < words && ints[before + i] === ints[place + i]) i++;
      if (i === words) return this.#numbers[known]!;
    }
    this.#count++;
    const next = known >= 0 ? known : this.#next();
    this.#slots[slot] = next;
    this.#hashes[next] = hash;
    this.#places[next] = place;
    this.#lengths[next] = length;
    this.#numbers[next] = this.#count;
    return 0;
  }

  #next(): number {
    if (this.#known === this.#hashes.length) {
      const grown = (before: Int32Array<ArrayBuffer>) => {
        const after = new Int32Array(before.length * 2);
        after.set(before);
        return after;
      };
      this.#hashes = grown(this.#hashes);
      this.#places = grown(this.#places);
      this.#lengths = grown(this.#lengths);
      this.#numbers = grown(this.#numbers);
    }
    return this.#known++;
  }
}

/** Before a block is built. */
export function trimShapes(definitions: Definitions): void {
  cacheOf(definitions).trim();
}

function cacheOf(definitions: Definitions): ShapeCache {
  let cache = CACHES.get(definitions);
  if (cache === undefined) {
    cache = new ShapeCache();
    CACHES.set(definitions, cache);
  }
  return cache;
}

const TRUNCATED_KEY = "microview.truncated";
const TRUNCATED_JSON = JSON.stringify({ [TRUNCATED_KEY]: true });

/** Undefined where keys come twice, or are not known from the signature: then the last has to win. */
function templateOf(
  signature: Int32Array,
  length: number,
  definitions: Definitions,
): string | undefined {
  const keys = new Set<string>();
  let at = 1;
  const parts: string[] = [];
  try {
    for (; at < length; at++) {
      if (signature[at] === THEN) continue;
      const count = signature[at]! >>> 8;
      for (let i = 0; i < count; i++) parts.push(property(0, keys));
    }
  } catch (error) {
    if (error instanceof DamageError) return undefined;
    throw error;
  }
  if (signature[0] === 1) {
    if (keys.has(TRUNCATED_KEY)) return undefined;
    parts.push(`${JSON.stringify(TRUNCATED_KEY)}:true`);
  }
  return `{${parts.join(",")}}`;

  /** The one behind `at`; leaves `at` at its last word. */
  function property(depth: number, siblings: Set<string>): string {
    const word = signature[++at]!;
    if ((word & 0xff) !== VALUE.defined) throw new DamageError("a key that is not defined", at);
    const key = definitions.text(word >>> 8);
    if (key === undefined || siblings.has(key)) throw new DamageError("a key that comes twice", at);
    siblings.add(key);
    return `${JSON.stringify(key)}:${value(depth + 1)}`;
  }

  function value(depth: number): string {
    const word = signature[++at]!;
    const count = word >>> 8;
    if (depth > DEPTH_MAX) throw new DamageError("values that lie too deep", at);
    switch (word & 0xff) {
      case VALUE.null:
        return "null";
      case VALUE.false:
        return "false";
      case VALUE.true:
        return "true";
      case VALUE.number:
        return GAP.number;
      case VALUE.integer:
        return GAP.integer;
      case VALUE.text:
        return GAP.text;
      case VALUE.object: {
        const siblings = new Set<string>();
        const parts: string[] = [];
        for (let i = 0; i < count; i++) parts.push(property(depth, siblings));
        return `{${parts.join(",")}}`;
      }
      case VALUE.array: {
        const parts: string[] = [];
        for (let i = 0; i < count; i++) parts.push(value(depth + 1));
        return `[${parts.join(",")}]`;
      }
      case SKIPPABLE_EVENTS:
        return JSON.stringify(UNKNOWN_VALUE);
    }
    // Definitions, and what is named in brackets: as the reader of values has it.
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, word, true);
    return JSON.stringify(new ValueReader(bytes, (id) => definitions.text(id)).seek(0, 4).text());
  }
}

function textAt({ ints, bytes, definitions }: PropertySource, place: number): string {
  const reader = new ValueReader(bytes, (id) => definitions.text(id));
  return reader.seek(4 * place, 4 * ints.length).text();
}

function jsonOf(
  { bytes, definitions }: PropertySource,
  at: number,
  end: number,
  laterAt: number,
  laterEnd: number,
  isTruncated: boolean,
): string {
  const reader = new ValueReader(bytes, (id) => definitions.text(id));
  try {
    const before = at < 0 ? {} : reader.seek(4 * at, 4 * end).properties();
    const later = laterAt < 0 ? {} : reader.seek(4 * laterAt, 4 * laterEnd).properties();
    const truncated: EventProperties = isTruncated ? { [TRUNCATED_KEY]: true } : {};
    return propertiesJson({ ...before, ...later, ...truncated });
  } catch (error) {
    if (error instanceof DamageError) return TRUNCATED_JSON;
    throw error;
  }
}

/** Properties as JSON, in which numbers that JSON does not have are texts. */
export function propertiesJson(properties: EventProperties): string {
  return JSON.stringify(properties, (_, value) =>
    typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
  );
}
