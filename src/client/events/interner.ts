// What this thread has defined in its ring: keys, and messages that come again. Both are bounded; what comes later is
// written where it is used.

import { DEFINITION, EVENT_LIMITS, LEVELS } from "../../layout/index.ts";
import { Encoder, type Key } from "./encoder.ts";
import type { Redaction } from "./redaction.ts";
import type { RingWriter } from "./ring-writer.ts";
import type { Site } from "./thinning.ts";

const KEYS_MAX = 1024;
const MESSAGES_MAX = 512;
/** Messages that were seen once. When there are so many, all are forgotten. */
const SEEN_MAX = 256;
/** Units of UTF-16; a longer message is hardly a constant. */
const MESSAGE_LENGTH_MAX = 200;
/** After so many messages in a row that were new, only one in {@link SAMPLE} is looked up. */
const NEW_IN_A_ROW = 64;
const SAMPLE = 64;

/** A message that comes again. */
export interface Message {
  /** Its definition. */
  readonly id: number;
  /** By level, made with its first line; see {@link Thinning}. */
  readonly sites: (Site | undefined)[];
}

export class Interner {
  readonly #ring: RingWriter;
  readonly #redaction: Redaction;
  readonly #encoder: Encoder;
  readonly #keys = new Map<string, Key>();
  readonly #messages = new Map<string, Message>();
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

  /** @returns undefined for a message that is written out, because it did not come before */
  message(text: string): Message | undefined {
    return this.mayKnow(text.length) ? this.lookUp(text) : undefined;
  }

  /** Whether it is worth to look for a message of so many characters. Asked once for each. */
  mayKnow(length: number): boolean {
    if (length > MESSAGE_LENGTH_MAX) return false;
    // Looking up a text that was just made means to read all of it.
    return this.#newInARow <= NEW_IN_A_ROW || ++this.#newInARow % SAMPLE === 0;
  }

  /** As {@link Interner.message}, of a text of which {@link Interner.mayKnow} says yes. */
  lookUp(text: string): Message | undefined {
    const known = this.#messages.get(text);
    if (known !== undefined) {
      this.#newInARow = 0;
      return known;
    }
    this.#newInARow++;
    return this.#newMessage(text);
  }

  hides(name: string): boolean {
    return this.#redaction.hides(name);
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

  #newMessage(text: string): Message | undefined {
    if (this.#messages.size >= MESSAGES_MAX) return undefined;
    if (!this.#seen.delete(text)) {
      if (this.#seen.size >= SEEN_MAX) this.#seen.clear();
      this.#seen.add(text);
      return undefined;
    }
    const id = this.define(DEFINITION.text, text);
    if (id === 0) return undefined;
    const message: Message = { id, sites: LEVELS.map(() => undefined) };
    this.#messages.set(text, message);
    return message;
  }
}
