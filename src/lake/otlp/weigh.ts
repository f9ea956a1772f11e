// How many objects a request of OTLP would become, counted in its bytes before any is made: a few bytes, packed well, can
// say a million times that there is an empty message. Used by receiver.ts.

import type protobuf from "protobufjs";
import { OtlpError, requestType, type Signal } from "./messages.ts";

/** Fields and elements of lists of one request; a batch of 8,192 spans with 25 attributes each has fewer. */
export const VALUES_MAX = 1 << 20;
/** As deep as protobufjs goes. */
const DEPTH_MAX = 100;

/** @throws OtlpError when it has too many values, or bytes that no protobuf has */
export function weigh(signal: Signal, bytes: Uint8Array, isJson: boolean): number {
  if (isJson) return weighJson(bytes);
  const counter = new Counter(bytes);
  counter.message(shapeOf(requestType(signal)), 0, bytes.length, 0);
  return counter.values;
}

function tooMany(): OtlpError {
  return new OtlpError(`the request has more than ${VALUES_MAX} values: send it in parts`);
}

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [BRACE, BRACKET] = [0x7b, 0x5b];

/** Each object, list and comma outside of texts; whether it is JSON at all is not said. */
function weighJson(bytes: Uint8Array): number {
  let values = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
    } else if (byte === COMMA || byte === BRACE || byte === BRACKET) {
      if (++values > VALUES_MAX) throw tooMany();
    }
  }
  return values;
}

/** What a field of a message is, as far as its bytes tell how many objects it becomes. */
interface FieldShape {
  message?: Shape;
  /** Bytes of an element where the field may be a list without tags; 0 for integers of any length. */
  packed?: number;
}

type Shape = ReadonlyMap<number, FieldShape>;

const PACKED_BYTES: Readonly<Record<string, number>> = {
  ...{ double: 8, fixed64: 8, sfixed64: 8, float: 4, fixed32: 4, sfixed32: 4 },
  ...{ int32: 0, int64: 0, uint32: 0, uint64: 0, sint32: 0, sint64: 0, bool: 0 },
};

const shapes = new Map<protobuf.Type, Map<number, FieldShape>>();

function shapeOf(type: protobuf.Type): Shape {
  const known = shapes.get(type);
  if (known !== undefined) return known;
  const shape = new Map<number, FieldShape>();
  // Before its fields: a value may be a list of values.
  shapes.set(type, shape);
  for (const field of type.fieldsArray) {
    const { resolvedType } = field.resolve();
    const packed = field.repeated ? PACKED_BYTES[field.type] : undefined;
    if (resolvedType !== null) {
      shape.set(field.id, { message: shapeOf(resolvedType as protobuf.Type) });
    } else if (packed !== undefined) shape.set(field.id, { packed });
  }
  return shape;
}

/** Kinds of fields as they are on the wire. */
const WIRE = { varint: 0, bits64: 1, bytes: 2, bits32: 5 } as const;

class Counter {
  values = 0;
  #at = 0;

  constructor(readonly bytes: Uint8Array) {}

  message(shape: Shape, from: number, end: number, depth: number): void {
    if (depth > DEPTH_MAX) throw new OtlpError("the request nests too deeply");
    this.#at = from;
    while (this.#at < end) {
      const tag = this.#varint(end);
      this.#count(1);
      const wire = tag & 7;
      if (wire === WIRE.varint) this.#varint(end);
      else if (wire === WIRE.bits64) this.#at += 8;
      else if (wire === WIRE.bits32) this.#at += 4;
      else if (wire === WIRE.bytes) {
        const length = this.#varint(end);
        const to = this.#at + length;
        if (to > end) throw torn();
        const { message, packed } = shape.get(Math.floor(tag / 8)) ?? {};
        if (message !== undefined) this.message(message, this.#at, to, depth + 1);
        else if (packed !== undefined) this.#count(this.#elements(packed, this.#at, to));
        this.#at = to;
      } else throw new OtlpError("the body is no protobuf of OTLP: it has groups");
    }
    if (this.#at > end) throw torn();
  }

  #elements(packed: number, from: number, to: number): number {
    if (packed > 0) return Math.ceil((to - from) / packed);
    let count = 0;
    for (let at = from; at < to; at++) if (this.bytes[at]! < 0x80) count++;
    return count;
  }

  #count(values: number): void {
    this.values += values;
    if (this.values > VALUES_MAX) throw tooMany();
  }

  #varint(end: number): number {
    let value = 0;
    for (let shift = 1, length = 0; length < 10; length++, shift *= 128) {
      if (this.#at >= end) throw torn();
      const byte = this.bytes[this.#at++]!;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
    throw torn();
  }
}

function torn(): OtlpError {
  return new OtlpError("the body is no protobuf of OTLP: it ends amid a field");
}
