// The rows of a block while it is built out of a ring, column by column, and what they call by definitions. `build.ts` fills
// them; their memory is used again for the next block, and nothing of what was in it is left.

import { type Definition, type Definitions, unknownDefinition } from "../definitions.ts";
import { TextList } from "./planes.ts";
import { type PropertyBudget, PropertyTable } from "./shapes.ts";

/** Of one column of a table; definitions that come later are called by their numbers. */
const NAMES_BYTES_MAX = 1 << 21;
/** Places in the table of spans that are looked at: those of a sound ring follow each other. */
const PROBES = 8;

export const NOTHING: Definition = { kind: 0, text: "", unit: "", target: "", place: "" };

/** What records of a table call by a definition: the codes of a block, in the order in which they first come. */
export class Named {
  readonly lists: readonly TextList[];
  readonly #textsOf: (definition: Definition) => readonly string[];
  #codes = new Int32Array(1024);
  readonly #touched: number[] = [];
  /** Of those that are written where they are used, or whose numbers are too high to be true. */
  readonly #others = new Map<string, number>();
  #count = 0;

  constructor(lists: number, textsOf: (definition: Definition) => readonly string[]) {
    this.lists = Array.from({ length: lists }, () => new TextList());
    this.#textsOf = textsOf;
  }

  reset(): void {
    for (const id of this.#touched) this.#codes[id] = 0;
    this.#touched.length = 0;
    this.#others.clear();
    this.#count = 0;
    for (const list of this.lists) list.reset();
  }

  /** @returns 0 for a new one */
  codeOf(id: number, definitions: Definitions): number {
    const code = this.#codes[id];
    return code === undefined || code === 0 ? this.#newCode(id, definitions) : code;
  }

  #newCode(id: number, definitions: Definitions): number {
    // 0 is none.
    const definition = id === 0 ? NOTHING : definitions.get(id);
    if (definition === undefined || this.#isFull) return this.codeOfTexts(unknownDefinition(id));
    if (id >= this.#codes.length) {
      const grown = new Int32Array(id * 2);
      grown.set(this.#codes);
      this.#codes = grown;
    }
    this.#codes[id] = ++this.#count;
    this.#touched.push(id);
    this.#add(definition);
    return 0;
  }

  get #isFull(): boolean {
    return this.lists.some(({ lengthBytes }) => lengthBytes > NAMES_BYTES_MAX);
  }

  codeOfTexts(definition: Definition): number {
    const key = JSON.stringify(this.#textsOf(definition));
    const code = this.#others.get(key);
    if (code !== undefined) return code;
    this.#others.set(key, ++this.#count);
    this.#add(definition);
    return 0;
  }

  /** The next one, which is written into the first list by the caller. */
  pass(): void {
    this.#count++;
  }

  #add(definition: Definition): void {
    const texts = this.#textsOf(definition);
    for (let i = 0; i < texts.length; i++) this.lists[i]!.add(texts[i]!);
  }
}

export class LogRows {
  rows = 0;
  level = new Uint8Array(0);
  time = new Float64Array(0);
  target = new Uint32Array(0);
  message = new Uint32Array(0);
  hasSpan = new Uint8Array(0);
  span = new Float64Array(0);
  spans = 0;
  readonly targets = new Named(1, ({ text }) => [text]);
  readonly messages = new Named(1, ({ text }) => [text]);
  readonly properties: PropertyTable;

  constructor(budget: PropertyBudget) {
    this.properties = new PropertyTable(budget);
  }

  reset(capacity: number): void {
    this.rows = 0;
    this.spans = 0;
    this.targets.reset();
    this.messages.reset();
    this.properties.reset(capacity);
    if (this.level.length >= capacity) return;
    this.level = new Uint8Array(capacity);
    this.time = new Float64Array(capacity);
    this.target = new Uint32Array(capacity);
    this.message = new Uint32Array(capacity);
    this.hasSpan = new Uint8Array(capacity);
    this.span = new Float64Array(capacity);
  }
}

export class MeasureRows {
  rows = 0;
  time = new Float64Array(0);
  definition = new Uint32Array(0);
  value = new Float64Array(0);
  readonly names = new Named(3, ({ text, unit, target }) => [text, unit, target]);
  readonly properties: PropertyTable;

  constructor(budget: PropertyBudget) {
    this.properties = new PropertyTable(budget);
  }

  reset(capacity: number): void {
    this.rows = 0;
    this.names.reset();
    this.properties.reset(capacity);
    if (this.time.length >= capacity) return;
    this.time = new Float64Array(capacity);
    this.definition = new Uint32Array(capacity);
    this.value = new Float64Array(capacity);
  }
}

export class SpanRows {
  rows = 0;
  opens = 0;
  status = new Uint8Array(0);
  definition = new Uint32Array(0);
  begin = new Float64Array(0);
  duration = new Float64Array(0);
  sequence = new Float64Array(0);
  parentRow = new Int32Array(0);
  parentLow = new Uint32Array(0);
  parentHigh = new Uint32Array(0);
  elsewhere = 0;
  traces = new Uint32Array(0);
  depth = new Uint16Array(0);
  flags = new Uint8Array(0);
  /** Where properties are, as indices of ints, two each for the beginning and the end; 0 for none. */
  properties = new Int32Array(0);
  truncated = new Uint8Array(0);
  hasProperties = false;
  readonly names = new Named(3, ({ text, target, place }) => [text, target, place]);
  readonly propertyTable: PropertyTable;
  #rowOf = new Int32Array(0);
  #mask = 0;

  constructor(budget: PropertyBudget) {
    this.propertyTable = new PropertyTable(budget);
  }

  reset(capacity: number): void {
    this.rows = 0;
    this.opens = 0;
    this.elsewhere = 0;
    this.hasProperties = false;
    this.names.reset();
    this.propertyTable.reset(capacity);
    const slots = 2 ** Math.ceil(Math.log2(2 * capacity + 16));
    if (this.#rowOf.length < slots) this.#rowOf = new Int32Array(slots);
    // As large as this block needs it, whatever came before: rows are found by it, or not.
    this.#mask = slots - 1;
    this.#rowOf.fill(-1, 0, slots);
    if (this.status.length >= capacity) return;
    this.status = new Uint8Array(capacity);
    this.definition = new Uint32Array(capacity);
    this.begin = new Float64Array(capacity);
    this.duration = new Float64Array(capacity);
    this.sequence = new Float64Array(capacity);
    this.parentRow = new Int32Array(capacity);
    this.parentLow = new Uint32Array(capacity);
    this.parentHigh = new Uint32Array(capacity);
    this.traces = new Uint32Array(4 * capacity);
    this.depth = new Uint16Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.properties = new Int32Array(4 * capacity);
    this.truncated = new Uint8Array(capacity);
  }

  /** @returns −1 when it has not begun in this block */
  rowOf(sequence: number): number {
    const rowOf = this.#rowOf;
    for (let probe = 0; probe < PROBES; probe++) {
      const row = rowOf[(sequence + probe) & this.#mask]!;
      if (row < 0) return -1;
      if (this.sequence[row] === sequence) return row;
    }
    return -1;
  }

  /** After the row was filled in. One that finds no place has no end and no children here. */
  remember(sequence: number, row: number): void {
    const rowOf = this.#rowOf;
    for (let probe = 0; probe < PROBES; probe++) {
      const slot = (sequence + probe) & this.#mask;
      if (rowOf[slot]! >= 0 && this.sequence[rowOf[slot]!] !== sequence) continue;
      rowOf[slot] = row;
      return;
    }
  }
}

export class CloseRows {
  rows = 0;
  status = new Uint8Array(0);
  end = new Float64Array(0);
  sequence = new Float64Array(0);
  readonly properties: PropertyTable;

  constructor(budget: PropertyBudget) {
    this.properties = new PropertyTable(budget);
  }

  reset(capacity: number): void {
    this.rows = 0;
    this.properties.reset(capacity);
    if (this.status.length >= capacity) return;
    this.status = new Uint8Array(capacity);
    this.end = new Float64Array(capacity);
    this.sequence = new Float64Array(capacity);
  }
}
