// Whole numbers within bounds, and file modes, which are whole numbers written in octal.

import { UsageError } from "./errors.ts";

/** Inclusive bounds. */
export interface Bounds {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

/**
 * Parses a whole number; `_` may separate digits, as in `100_000`.
 *
 * @throws UsageError when it is no whole number or out of bounds; the error states the bounds
 */
export function parseInteger(text: string, label: string, bounds: Bounds = {}): number {
  const min = bounds.min ?? 0;
  const max = bounds.max ?? Number.MAX_SAFE_INTEGER;
  const value = /^-?\d+(_\d+)*$/.test(text) ? Number(text.replaceAll("_", "")) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw new UsageError(`${label} is not a whole number: '${text}'`, describeBounds(min, max));
  }
  if (value < min || value > max) {
    throw new UsageError(`${label} is out of range: ${text}`, describeBounds(min, max));
  }
  return value;
}

function describeBounds(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER
    ? `use a whole number from ${min} upwards`
    : `use a whole number from ${min} to ${max}`;
}

/** Read and write, for the owner. */
const OWNER_RW = 0o600;

/**
 * Parses a file mode such as `0660`.
 *
 * @throws UsageError when it is not three or four octal digits, or its owner could not use the file
 */
export function parseFileMode(text: string, label: string): number {
  if (!/^0?[0-7]{3}$/.test(text)) {
    throw new UsageError(`${label} is not a file mode: '${text}'`, "use octal digits, e.g. 0660");
  }
  const mode = Number.parseInt(text, 8);
  if ((mode & OWNER_RW) !== OWNER_RW) {
    throw new UsageError(
      `${label} leaves the owner without: '${text}'`,
      "the agent reads and writes its pools: begin with 06, e.g. 0660",
    );
  }
  return mode;
}
