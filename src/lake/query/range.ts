// Times of a query's range, as callers write them. Used by runner.ts.

import { FOREVER_NS, NS_PER_MS } from "../times.ts";
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
    if (/^-?\d{1,19}$/.test(text)) return inReach(BigInt(text), name);
    const [, day, time, fraction = "", zone] = RFC_3339.exec(text) ?? [];
    const ms = Date.parse(`${day}T${time}${zone?.toUpperCase()}`);
    if (!Number.isNaN(ms))
      return inReach(BigInt(ms) * NS_PER_MS + BigInt(fraction.padEnd(9, "0")), name);
  }
  throw new QueryError(
    "bad-request",
    `\`${name}\` is no time: ${JSON.stringify(text).slice(0, 80)}`,
    "write it as 2026-12-01T10:00:00Z, or as nanoseconds since 1970",
  );
}

/** The lake has 64 bits for a time. */
function inReach(ns: bigint, name: string): bigint {
  if (ns >= -FOREVER_NS && ns <= FOREVER_NS) return ns;
  throw new QueryError(
    "bad-request",
    `\`${name}\` is before 1677 or beyond 2262`,
    "leave it out, or name a time in between",
  );
}
