// What this thread has defined in its ring: keys, and messages that come again. Both are bounded; what comes later is
// written where it is used.

import { DEFINITION, EVENT_LIMITS } from "../../layout/index.ts";
import { Encoder, type Key } from "./encoder.ts";
import type { Redaction } from "./redaction.ts";
import type { RingWriter } from "./ring-writer.ts";

const KEYS_MAX = 1024;
const MESSAGES_MAX = 512;
/** Messages that were seen once. When there are so many, all are forgotten. */
const SEEN_MAX = 256;
/** Units of UTF-16; a longer message is hardly a constant. */
const MESSAGE_LENGTH_MAX = 200;
/** After so many messages in a row that were new, only one in {@link SAMPLE} is looked up. */
const NEW_IN_A_ROW = 64;
const SAMPLE = 16;

export class Interner {
  readonly #ring: RingWriter;
  readonly #redaction: Redaction;
  readonly #encoder: Encoder;
  readonly #keys = new Map<string, Key>();
  readonly #messages = new Map<string, number>();
  readonly #seen = new Set<string>();
  #newInARow = 0;

  constructor(ring: RingWriter, redaction: Redaction) {
    this.#ring = ring;
    this.#redaction = redaction;
    this.#encoder = new Encoder(redaction, (name) => this.key(name));
  }

  key(name: string): Key {
    return this.#keys.get(name) ?? this.#newKey(name);
  }

  /** @returns the number of a message that came before; 0 for one that is written out */
  message(text: string): number {
    if (text.length > MESSAGE_LENGTH_MAX) return 0;
    // Looking up a text that was just made means to read all of it.
    if (this.#newInARow > NEW_IN_A_ROW && ++this.#newInARow % SAMPLE !== 0) return 0;
    const known = this.#messages.get(text);
    if (known !== undefined) {
      this.#newInARow = 0;
      return known;
    }
    this.#newInARow++;
    return this.#newMessage(text);
  }

  /** @returns its number; 0 when there is no room, or a text is too long */
  define(kind: number, ...texts: readonly string[]): number {
    this.#encoder.reset();
    for (const text of texts) {
      if (Buffer.byteLength(text) > EVENT_LIMITS.definedBytes) return 0;
      this.#encoder.text(text);
    }
    return this.#ring.define(kind, this.#encoder);
  }

  #newKey(name: string): Key {
    const key = { id: 0, isHidden: this.#redaction.hides(name) };
    if (this.#keys.size >= KEYS_MAX || name.length > EVENT_LIMITS.definedBytes) return key;
    key.id = this.define(DEFINITION.text, name);
    this.#keys.set(name, key);
    return key;
  }

  #newMessage(text: string): number {
    if (this.#messages.size >= MESSAGES_MAX) return 0;
    if (!this.#seen.delete(text)) {
      if (this.#seen.size >= SEEN_MAX) this.#seen.clear();
      this.#seen.add(text);
      return 0;
    }
    const id = this.define(DEFINITION.text, text);
    if (id > 0) this.#messages.set(text, id);
    return id;
  }
}
