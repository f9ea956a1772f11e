// Times of a query's range, as callers write them. Used by runner.ts.

import { NS_PER_MS } from "../times.ts";
import { QueryError } from "./query-error.ts";

const RFC_3339 = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/i;

/**
 * Nanoseconds since 1970.
 * @param text RFC 3339 with a zone, or the number itself
 * @param name of what it is, for the error
 * @throws QueryError for any other text
 */
export function instantNs(text: unknown, name: string): bigint {
  if (typeof text === "string") {
    if (/^-?\d{1,19}$/.test(text)) return BigInt(text);
    const [, day, time, fraction = "", zone] = RFC_3339.exec(text) ?? [];
    const ms = Date.parse(`${day}T${time}${zone?.toUpperCase()}`);
    if (!Number.isNaN(ms)) return BigInt(ms) * NS_PER_MS + BigInt(fraction.padEnd(9, "0"));
  }
  throw new QueryError(
    "bad-request",
    `\`${name}\` is no time: ${JSON.stringify(text).slice(0, 80)}`,
    "write it as 2026-12-01T10:00:00Z, or as nanoseconds since 1970",
  );
}
