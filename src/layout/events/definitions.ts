// Reads the table of definitions beside a ring: what names, units, keys and messages mean by number. It only grows.

import { DamageError } from "../bytes.ts";
import { DEFINITION, SKIPPABLE_EVENTS } from "./constants.ts";
import { ValueReader } from "./values.ts";

/** An entry: a text, a measure, the name of spans, or a target. What its kind does not have is empty. */
export interface Definition {
  kind: number;
  text: string;
  unit: string;
  /** What part of the program it is of: a module, a library. */
  target: string;
  /** `file:line` of its declaration. */
  place: string;
}

/** Gives a copy of bytes of a ring's file. */
export type CopyOf = (offset: number, bytes: number) => Uint8Array;

const ENTRY_BYTES_MAX = 4096;

export class Definitions {
  readonly #copy: CopyOf;
  readonly #end: number;
  /** By number less one; undefined where it is of a kind that is left out. */
  readonly #known: (Definition | undefined)[] = [];
  #at: number;
  #isDamaged = false;

  constructor(copy: CopyOf, offset: number, bytes: number) {
    this.#copy = copy;
    this.#at = offset;
    this.#end = offset + bytes;
  }

  /** Undefined for what is not defined, or is damaged, or of a kind that is not known and may be left out. */
  get(id: number): Definition | undefined {
    if (id > this.#known.length) this.#readOn();
    return this.#known[id - 1];
  }

  text(id: number): string | undefined {
    return this.get(id)?.text;
  }

  #readOn(): void {
    while (!this.#isDamaged && this.#at + 8 <= this.#end) {
      const head = this.#copy(this.#at, 8);
      const view = new DataView(head.buffer, head.byteOffset, 8);
      const bytes = view.getUint32(0, true);
      if (bytes === 0) return;
      if (bytes % 8 !== 0 || bytes > ENTRY_BYTES_MAX || this.#at + bytes > this.#end) {
        this.#isDamaged = true;
        return;
      }
      this.#known.push(this.#entry(view.getUint32(4, true), this.#copy(this.#at, bytes)));
      this.#at += bytes;
    }
  }

  /** Numbers go by place: what cannot be read takes one too. */
  #entry(kind: number, bytes: Uint8Array): Definition | undefined {
    if (kind >= SKIPPABLE_EVENTS) return undefined;
    // Definitions refer to no others.
    const reader = new ValueReader(bytes, () => undefined).seek(8, bytes.length);
    try {
      return readDefinition(kind, reader);
    } catch {
      return { ...NOTHING, text: "[damaged]" };
    }
  }
}

const NOTHING: Definition = { kind: 0, text: "", unit: "", target: "", place: "" };

/**
 * The texts of a definition; a record whose number is 0 has the same ones behind its fixed words.
 * @throws DamageError where there are fewer
 */
export function readDefinition(kind: number, reader: ValueReader): Definition {
  const text = reader.text();
  switch (kind) {
    case DEFINITION.measure:
      return { kind, text, unit: reader.text(), target: reader.text(), place: reader.text() };
    case DEFINITION.span:
      return { ...NOTHING, kind, text, target: reader.text(), place: reader.text() };
    case DEFINITION.target:
      return { ...NOTHING, kind, text, target: text, place: reader.text() };
  }
  if (kind !== DEFINITION.text) throw new DamageError(`no definition has the kind ${kind}`, 0);
  return { ...NOTHING, kind, text };
}

/** In the place of one that is not there. */
export function unknownDefinition(id: number): Definition {
  return { ...NOTHING, text: `[definition ${id}]` };
}
