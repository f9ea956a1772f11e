// Attributes as labels: keys in order, values as text, within the limits of the layout.

import type { Attributes } from "@opentelemetry/api";
import { cutTo, isAttributeKey, LIMITS, SCOPE_LABELS } from "../layout/index.ts";
import type { Diagnostics } from "./api.ts";

/** A set of attributes, one for all orders of keys. */
export interface LabelSet {
  keys: string[];
  values: string[];
}

const RESERVED: readonly string[] = Object.values(SCOPE_LABELS);
// As isAttributeKey: what it refuses, one by one.
const NO_KEY = /[\s\p{Cc}\p{Cf}\p{Cs}\p{Z}"\\=,{}]/gu;

/**
 * The labels of attributes. What is undefined or null is left out, as the specification says; numbers, truth values
 * and lists become text.
 * @param of the instrument, for warnings
 */
export function labelSetOf(attributes: Attributes, of: string, diagnostics: Diagnostics): LabelSet {
  const pairs = new Map<string, string>();
  for (const given in attributes) {
    const value = attributes[given];
    if (value === undefined || value === null) continue;
    const key = keyOf(given);
    if (key !== given) {
      const what = `${of}: the attribute key ${JSON.stringify(given.slice(0, 80))}`;
      if (key === undefined) diagnostics.warn(`${what} cannot be a label's, it is left out`);
      else diagnostics.warn(`${what} has characters that a label cannot have, they become "_"`);
    }
    if (key === undefined) continue;
    pairs.set(key, textOf(value, `${of}: the value of ${key}`, diagnostics));
  }
  const keys = [...pairs.keys()].sort();
  return { keys, values: keys.map((key) => pairs.get(key)!) };
}

function keyOf(given: string): string | undefined {
  const key = isAttributeKey(given) ? given : given.replace(NO_KEY, "_");
  return isAttributeKey(key) && !RESERVED.includes(key) ? key : undefined;
}

function textOf(value: unknown, of: string, diagnostics: Diagnostics): string {
  const text = typeof value === "object" ? json(value) : String(value);
  const cut = cutTo(text.toWellFormed(), LIMITS.labelValueBytes);
  if (cut.length < text.length) {
    diagnostics.warn(`${of} is cut to ${LIMITS.labelValueBytes} bytes`);
  }
  return cut;
}

function json(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    // It goes in circles, or has a bigint.
    return Object.prototype.toString.call(value);
  }
}
