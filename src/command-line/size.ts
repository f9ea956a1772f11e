// Sizes in bytes as people type them: `64MiB`, `1GB`, `4096`.

import { UsageError } from "./errors.ts";

const BYTES_PER_UNIT: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/**
 * Parses a size such as `64MiB`. `kB` is 1000 bytes and `KiB` 1024; a bare number is bytes.
 *
 * @returns whole bytes
 * @throws UsageError when it is not a size, or not a whole number of bytes
 */
export function parseSizeBytes(text: string, label: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = match?.[2]?.toLowerCase() ?? "";
  const scale = Object.hasOwn(BYTES_PER_UNIT, unit) ? BYTES_PER_UNIT[unit] : undefined;
  if (!match || scale === undefined) {
    throw new UsageError(
      `${label} is not a size: '${text}'`,
      "write a number and a unit, e.g. 64MiB, 1GB or 4096B",
    );
  }
  const sizeBytes = Number(match[1]) * scale;
  if (!Number.isSafeInteger(sizeBytes)) {
    throw new UsageError(`${label} is not a whole number of bytes: '${text}'`);
  }
  return sizeBytes;
}

/** A size in the largest binary unit that divides it, e.g. 67108864 → `64MiB`. */
export function formatSizeBytes(sizeBytes: number): string {
  for (const [unit, scale] of [
    ["TiB", 2 ** 40],
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const) {
    if (sizeBytes >= scale && sizeBytes % scale === 0) return `${sizeBytes / scale}${unit}`;
  }
  return `${sizeBytes}B`;
}
