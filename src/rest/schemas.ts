// What the schemas of this room are made of besides TypeBox's own types.

import { type Static, type TSchema, Type } from "@sinclair/typebox";

/** A whole number in a body. What is wrong with one is said in the words of JSON Schema's `multipleOf`. */
export function wholeNumber(options: { minimum: number; maximum?: number; description?: string }) {
  return Type.Number({ ...options, multipleOf: 1 });
}

/** One of these strings. */
export function oneOf<const T extends readonly string[]>(
  values: T,
  options: { description?: string } = {},
) {
  const literals = values.map((value) => Type.Literal(value));
  return Type.Unsafe<T[number]>(Type.Union(literals, options));
}

/** A list that nobody changes: callers may pass one of theirs that they do not want changed. */
export function readonlyList<T extends TSchema>(items: T, options: { description?: string } = {}) {
  return Type.Unsafe<readonly Static<T>[]>(Type.Array(items, options));
}

export function nullOr<T extends TSchema>(schema: T, options: { description?: string } = {}) {
  return Type.Union([schema, Type.Null()], options);
}

/** An id of a pool: random, and exact as a double. */
export const PoolId = wholeNumber({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const U32 = wholeNumber({ minimum: 0, maximum: 0xffff_ffff });

/** A count or an id in an answer. */
export const Count = Type.Integer({ minimum: 0 });
