// OTLP's attributes and values as properties: JSON that is bounded as what our own recorder writes is, and without what
// the recorder would hide.

import { EVENT_LIMITS, SecretNames } from "../../layout/index.ts";
import {
  listIn,
  longOf,
  type Message,
  messageOf,
  messagesIn,
  numberOf,
  oneOf,
  textIn,
} from "./messages.ts";

export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

/** What one event may still hold. */
export class Room {
  /** Attributes and elements, at all depths. */
  left: number = EVENT_LIMITS.attributes;
  /** Characters of texts. */
  characters: number = EVENT_LIMITS.eventBytes;
  dropped = 0;
}

const secrets = new SecretNames();
const HIDDEN = "[redacted]";

const KINDS = [
  ...(["stringValue", "boolValue", "intValue", "doubleValue"] as const),
  ...(["arrayValue", "kvlistValue", "bytesValue"] as const),
] as const;

/**
 * @param name of the attribute, if it is one's value
 * @throws OtlpError
 */
export function anyValue(given: unknown, room: Room, depth = 0, name = ""): Value {
  const value = messageOf(given ?? {}, "a value");
  const kind = oneOf(value, KINDS);
  if (kind === undefined) return null;
  const it = value[kind];
  switch (kind) {
    case "stringValue":
      return cut(secrets.withoutSecrets(textIn(value, kind)), room);
    case "boolValue":
      return it === true;
    case "intValue":
      return integer(longOf(it, kind));
    case "doubleValue": {
      const number = numberOf(it, kind);
      // JSON has none of the others.
      return Number.isFinite(number) ? number : String(number);
    }
    case "bytesValue":
      return cut(it instanceof Uint8Array ? Buffer.from(it).toString("base64") : String(it), room);
    case "arrayValue":
      if (depth >= EVENT_LIMITS.depth) return "[too deep]";
      return elements(listIn(messageOf(it, kind), "values"), room, depth + 1, name);
    case "kvlistValue":
      if (depth >= EVENT_LIMITS.depth) return "[too deep]";
      return pairsIn(messageOf(it, kind), "values", room, depth + 1);
  }
}

/** Key-value pairs of a repeated field; of one key the last counts. @throws OtlpError */
export function pairsIn(
  message: Message,
  field: string,
  room: Room,
  depth = 0,
): Record<string, Value> {
  const pairs = taken(messagesIn(message, field), room);
  // Not by assignment: "__proto__" is a key like any other.
  return Object.fromEntries(
    pairs.map((pair) => {
      const name = textIn(pair, "key");
      const key = cut(name, room);
      return [key, secrets.hides(name) ? HIDDEN : anyValue(pair["value"], room, depth, name)];
    }),
  );
}

function elements(all: readonly unknown[], room: Room, depth: number, list: string): Value[] {
  let before: Value = null;
  return taken(all, room).map((each, at) => {
    const isHidden = secrets.hidesElement(list, all.length, at, before);
    before = isHidden ? HIDDEN : anyValue(each, room, depth, list);
    return before;
  });
}

/** A value as text: itself where it is one, else JSON. */
export function textOf(value: Value): string {
  if (value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function taken<T>(all: readonly T[], room: Room): readonly T[] {
  const some = all.slice(0, Math.max(0, room.left));
  room.left -= some.length;
  room.dropped += all.length - some.length;
  return some;
}

/** As our own recorder cuts: with the length that it had. */
function cut(text: string, room: Room): string {
  const whole = text.toWellFormed();
  if (whole.length <= room.characters) {
    room.characters -= whole.length;
    return whole;
  }
  const kept = whole.slice(0, room.characters).toWellFormed();
  room.characters = 0;
  return `${kept}… (${whole.length} characters)`;
}

/** JSON's numbers are doubles: what does not fit is text. */
function integer(value: bigint): Value {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}
