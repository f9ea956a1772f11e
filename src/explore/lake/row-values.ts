// Values of a lake's rows as what they are: text, and whole numbers, which come as text so that none of their digits
// is lost. For those that make traces, and files for Perfetto, of rows.

import { LakeError } from "./lake-error.ts";

/** What is missing is an empty text. */
export function text(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}

/** Undefined for what is missing, or is no whole number. */
export function integer(value: unknown): bigint | undefined {
  return /^-?\d+$/.test(String(value)) ? BigInt(String(value)) : undefined;
}

/** A time that has to be there. @throws LakeError */
export function timeNs(value: unknown): bigint {
  const ns = integer(value);
  if (ns === undefined) throw new LakeError("what answers is no lake: a time is no number");
  return ns;
}
