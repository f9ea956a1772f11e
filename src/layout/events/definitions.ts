// Reads the table of definitions beside a ring: what names, units, keys and messages mean by number. It only grows.

import { DEFINITION } from "./constants.ts";
import { ValueReader } from "./values.ts";

/** An entry: a text, a measure with its unit, or the name of spans. */
interface Definition {
  kind: number;
  text: string;
  unit: string;
}

/** Gives a copy of bytes of a ring's file. */
export type CopyOf = (offset: number, bytes: number) => Uint8Array;

const ENTRY_BYTES_MAX = 4096;

export class Definitions {
  readonly #copy: CopyOf;
  readonly #end: number;
  readonly #known: Definition[] = [];
  #at: number;
  #isDamaged = false;

  constructor(copy: CopyOf, offset: number, bytes: number) {
    this.#copy = copy;
    this.#at = offset;
    this.#end = offset + bytes;
  }

  /** Undefined for what is not defined, or is damaged. */
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

  #entry(kind: number, bytes: Uint8Array): Definition {
    // Definitions refer to no others.
    const reader = new ValueReader(bytes, () => undefined).seek(8, bytes.length);
    try {
      const text = reader.text();
      return { kind, text, unit: kind === DEFINITION.measure ? reader.text() : "" };
    } catch {
      // Numbers go by place: what is damaged takes one too.
      return { kind: 0, text: "[damaged]", unit: "" };
    }
  }
}
