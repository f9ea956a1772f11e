// Reads a log out of a line of JSON, as loggers of services write it, straight into the encoder: most lines have a level,
// some texts and numbers, and the message at their end. No object is made of such a line, and no text of its keys and
// values: it is looked at as bytes. Lines that have more in them are parsed.

import { EVENT_LIMITS, VALUE } from "../../layout/index.ts";
import type { Encoder, Key, Utf8Buffer } from "./encoder.ts";

export interface LineFormat {
  /** The key of the message. */
  messageKey: string;
  /** Top-level keys that are left out, because the record already has them: time and level, for instance. */
  leftOut: ReadonlySet<string>;
}

/** A key that has come before, as its bytes. */
interface KnownKey {
  readonly bytes: Uint8Array;
  readonly name: string;
  readonly key: Key;
  readonly isLeftOut: boolean;
}

/** Gives numbers to keys, until it is another one. */
interface Keys {
  key(name: string): Key;
  /** Whether what follows such a text in a list may be secret. */
  hides(name: string): boolean;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const SLASH = 0x2f;
const EQUALS = 0x3d;
const OPENING = 0x7b;
const CLOSING = 0x7d;
const BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
/** As deep as the encoder goes: what lies deeper is cut by that. */
const DEPTH_MAX = EVENT_LIMITS.depth;
const ZERO = 0x30;
/** Digits of a number that is surely whole and exact. */
const DIGITS_MAX = 15;
/** How most lines begin; its first eight bytes are looked at. */
const LEVEL = '{"level":';
const LEVEL_HIGH = Buffer.from(LEVEL).readInt32BE(0);
const LEVEL_LOW = Buffer.from(LEVEL).readInt32BE(4);
const LINE_BYTES_MAX = EVENT_LIMITS.eventBytes;
/** A power of two. */
const KEYS_MAX = 1024;
const KEY_BYTES_MAX = 255;

export class LineReader {
  readonly #leftOut: ReadonlySet<string>;
  readonly #messageKey: string;
  readonly #skipsLevel: boolean;
  /** How a message begins. */
  readonly #pattern: Uint8Array;
  // A word more, so that four bytes may be read anywhere.
  readonly #buffer = Buffer.alloc(LINE_BYTES_MAX + 4) as Buffer & Utf8Buffer;
  readonly #bytes = new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset);
  readonly #view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset);
  /** By the lower bits of their hashes; of two that share them the last has the place. */
  #known: (KnownKey | undefined)[] = [];
  #keys: Keys | undefined;
  /** Where its parts are in the bytes of the line that was split last. */
  #propertiesEnd = 0;
  #messageStart = 0;
  #messageEnd = 0;
  /** Of the member whose key was read last. */
  #valueAt = 0;

  constructor({ messageKey, leftOut }: LineFormat) {
    this.#messageKey = messageKey;
    this.#leftOut = leftOut;
    this.#skipsLevel = leftOut.has("level");
    this.#pattern = Buffer.from(`,${JSON.stringify(messageKey)}:"`);
  }

  /** Finds the message of a line that ends with it. @returns whether it is there, and has no escapes */
  split(line: string): boolean {
    if (line.length * 3 > LINE_BYTES_MAX) return false;
    const bytes = this.#bytes;
    const pattern = this.#pattern;
    let end = this.#buffer.utf8Write(line, 0, LINE_BYTES_MAX) - 1;
    while (end > 0 && bytes[end] !== CLOSING) end--;
    if (bytes[0] !== OPENING || bytes[--end] !== QUOTE) return false;
    // A quote within a text has a backslash before it: the first from the end begins the message.
    let at = end - 1;
    while (bytes[at] !== QUOTE) {
      if (bytes[at] === BACKSLASH || at === 0) return false;
      at--;
    }
    const start = at + 1 - pattern.length;
    if (start < 1) return false;
    for (let i = 0; i < pattern.length; i++) if (bytes[start + i] !== pattern[i]) return false;
    this.#propertiesEnd = start;
    this.#messageStart = at + 1;
    this.#messageEnd = end;
    return true;
  }

  get messageBytes(): number {
    return this.#messageEnd - this.#messageStart;
  }

  /** The message as a text, which costs more than to write it. */
  message(): string {
    return this.#buffer.toString("utf8", this.#messageStart, this.#messageEnd);
  }

  writeMessage(encoder: Encoder): void {
    encoder.utf8(this.#view, this.#messageStart, this.#messageEnd);
  }

  /**
   * Encodes the properties before the message.
   * @returns whether it could: there may be escapes, too much of all, or something else than JSON
   */
  properties(encoder: Encoder, keys: Keys): boolean {
    if (keys !== this.#keys) {
      this.#keys = keys;
      this.#known = new Array<KnownKey | undefined>(KEYS_MAX).fill(undefined);
    }
    const bytes = this.#bytes;
    const last = this.#propertiesEnd;
    let at = this.#skipsLevel && this.#beginsWithLevel() ? this.#endOf(LEVEL.length, last) + 1 : 1;
    if (at <= 0) return false;
    const object = encoder.beginProperties();
    let count = 0;
    // As #members, apart: most lines are flat, and code that calls itself is slower.
    while (at < last) {
      const known = this.#member(at, last, keys);
      if (known === undefined) return false;
      at = this.#valueAt;
      if (known.isLeftOut) {
        at = this.#endOf(at, last);
      } else {
        if (encoder.isFull()) return false;
        const first = bytes[at];
        if (!encoder.key(known.name, known.key)) at = this.#endOf(at, last);
        else if (first === OPENING || first === BRACKET) {
          at = this.#nested(at, last, encoder, keys, 1);
        } else at = this.#scalar(at, last, encoder);
        count++;
      }
      if (at < 0 || at > last || (at < last && bytes[at] !== COMMA)) return false;
      at++;
    }
    encoder.endProperties(object, count);
    return true;
  }

  /** The properties of any line of JSON, and its message; undefined of what is none. */
  parsed(line: string): { message: string; properties: Record<string, unknown> } | undefined {
    const properties = parsed(line);
    if (typeof properties !== "object" || properties === null) return undefined;
    const found = properties as Record<string, unknown>;
    const message = found[this.#messageKey];
    const isText = typeof message === "string";
    if (isText || message === undefined) delete found[this.#messageKey];
    for (const key of this.#leftOut) delete found[key];
    return { message: isText ? message : "", properties: found };
  }

  #beginsWithLevel(): boolean {
    const view = this.#view;
    return (
      view.getInt32(0) === LEVEL_HIGH &&
      view.getInt32(4) === LEVEL_LOW &&
      this.#bytes[LEVEL.length - 1] === COLON
    );
  }

  #keyAt(start: number, end: number, hash: number, keys: Keys): KnownKey {
    const place = hash & (KEYS_MAX - 1);
    const known = this.#known[place];
    if (known !== undefined && this.#isAt(known.bytes, start, end)) return known;
    const bytes = this.#bytes.slice(start, end);
    const name = this.#buffer.toString("utf8", start, end);
    const isLeftOut = this.#leftOut.has(name) || name === this.#messageKey;
    const found = { bytes, name, key: keys.key(name), isLeftOut };
    if (bytes.length <= KEY_BYTES_MAX) this.#known[place] = found;
    return found;
  }

  #isAt(key: Uint8Array, start: number, end: number): boolean {
    const bytes = this.#bytes;
    if (end - start !== key.length) return false;
    for (let i = 0; i < key.length; i++) if (bytes[start + i] !== key[i]) return false;
    return true;
  }

  /** Reads a key. @returns undefined for what is none, or has escapes; {@link LineReader.#valueAt} is behind it */
  #member(start: number, last: number, keys: Keys): KnownKey | undefined {
    const bytes = this.#bytes;
    if (bytes[start] !== QUOTE) return undefined;
    let at = start + 1;
    let hash = 0;
    let byte = bytes[at]!;
    while (byte !== QUOTE) {
      if (byte === BACKSLASH || at >= last) return undefined;
      hash = (Math.imul(hash, 31) + byte) | 0;
      byte = bytes[++at]!;
    }
    if (bytes[at + 1] !== COLON) return undefined;
    this.#valueAt = at + 2;
    return this.#keyAt(start + 1, at, hash, keys);
  }

  /**
   * Encodes an object or a list.
   * @returns where it ends; −1 for what has escapes, lies too deep, is too much, or is no JSON
   */
  #nested(at: number, last: number, encoder: Encoder, keys: Keys, depth: number): number {
    if (depth > DEPTH_MAX) return -1;
    return this.#bytes[at] === OPENING
      ? this.#members(at + 1, last, encoder, keys, depth)
      : this.#elements(at + 1, last, encoder, keys, depth);
  }

  #members(start: number, last: number, encoder: Encoder, keys: Keys, depth: number): number {
    const bytes = this.#bytes;
    const object = encoder.beginProperties();
    let at = start;
    let count = 0;
    while (bytes[at] !== CLOSING) {
      if (count > 0 && bytes[at++] !== COMMA) return -1;
      const known = this.#member(at, last, keys);
      if (known === undefined || encoder.isFull()) return -1;
      at = this.#valueAt;
      at = encoder.key(known.name, known.key)
        ? this.#value(at, last, encoder, keys, depth)
        : this.#endOf(at, last);
      if (at < 0 || at >= last) return -1;
      count++;
    }
    encoder.endProperties(object, count);
    return at + 1;
  }

  #elements(start: number, last: number, encoder: Encoder, keys: Keys, depth: number): number {
    const bytes = this.#bytes;
    const list = encoder.beginProperties();
    let at = start;
    let count = 0;
    while (bytes[at] !== CLOSING_BRACKET) {
      if (count > 0 && bytes[at++] !== COMMA) return -1;
      if (encoder.isFull()) return -1;
      encoder.element();
      const first = at;
      at = this.#value(at, last, encoder, keys, depth);
      if (at < 0 || at >= last) return -1;
      // A pair of name and value, or headers in turn.
      if (bytes[at] === COMMA && this.#isSecretName(first, at, keys)) return -1;
      count++;
    }
    encoder.endElements(list, count);
    return at + 1;
  }

  #value(at: number, last: number, encoder: Encoder, keys: Keys, depth: number): number {
    const first = this.#bytes[at];
    return first === OPENING || first === BRACKET
      ? this.#nested(at, last, encoder, keys, depth + 1)
      : this.#scalar(at, last, encoder);
  }

  /** Encodes a text, a number, true, false or null. @returns where it ends; −1 for what is none of these */
  #scalar(at: number, last: number, encoder: Encoder): number {
    const bytes = this.#bytes;
    const first = bytes[at]!;
    if (first === QUOTE) {
      const close = this.#endOf(at, last);
      if (close < 0) return -1;
      // What may be an address may have a secret in it.
      if (this.#mayBeAddress(at + 1, close - 1))
        encoder.textValue(this.#buffer.toString("utf8", at + 1, close - 1));
      else encoder.utf8(this.#view, at + 1, close - 1);
      return close;
    }
    let whole = 0;
    const start = first === MINUS ? at + 1 : at;
    let i = start;
    for (; i < last; i++) {
      const digit = bytes[i]! - ZERO;
      if (digit < 0 || digit > 9) break;
      whole = whole * 10 + digit;
    }
    if (isEnd(bytes[i]!) && i > start && i - start <= DIGITS_MAX) {
      encoder.number(first === MINUS ? -whole : whole);
      return i;
    }
    const close = this.#endOf(at, last);
    if (close < 0) return -1;
    const text = this.#buffer.toString("latin1", at, close);
    const tag = LITERALS.get(text);
    const number = Number(text);
    if (tag === undefined && (text.trim() === "" || Number.isNaN(number))) return -1;
    if (tag === undefined) encoder.number(number);
    else encoder.literal(tag);
    return close;
  }

  #isSecretName(start: number, end: number, keys: Keys): boolean {
    if (this.#bytes[start] !== QUOTE || end - start > KEY_BYTES_MAX) return false;
    return keys.hides(this.#buffer.toString("utf8", start + 1, end - 1));
  }

  /** As {@link Encoder} looks at texts: with a scheme, or a path with parameters. */
  #mayBeAddress(start: number, end: number): boolean {
    const bytes = this.#bytes;
    const mark = bytes[start] === SLASH ? EQUALS : COLON;
    for (let i = start; i < end; i++) {
      if (bytes[i] !== mark) continue;
      if (mark === EQUALS || (bytes[i + 1] === SLASH && bytes[i + 2] === SLASH)) return true;
    }
    return false;
  }

  /** Where a value ends; −1 for an object, a list, and a text with escapes. */
  #endOf(at: number, last: number): number {
    const bytes = this.#bytes;
    const first = bytes[at];
    let i = at + 1;
    if (first === QUOTE) {
      while (bytes[i] !== QUOTE) {
        if (bytes[i] === BACKSLASH || i >= last) return -1;
        i++;
      }
      return i + 1;
    }
    if (first === OPENING || first === BRACKET) return -1;
    while (i < last && !isEnd(bytes[i]!)) i++;
    return i;
  }
}

/** Whether a number or word has ended. */
function isEnd(byte: number): boolean {
  return byte === COMMA || byte === CLOSING || byte === CLOSING_BRACKET;
}

const LITERALS: ReadonlyMap<string, number> = new Map([
  ["null", VALUE.null],
  ["false", VALUE.false],
  ["true", VALUE.true],
]);

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
