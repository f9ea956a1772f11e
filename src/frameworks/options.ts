// What the plugins for frameworks and the wrapper of fetch() are given, and how their label values stay few.

import type { LogLinearOptions } from "../client/index.ts";

export interface HttpOptions {
  /**
   * What the label `status` says: the class, "2xx", or the code, "204".
   * @default "class"
   */
  status?: "class" | "code";
  /** How latency is cut into buckets, as `mv.histogram` takes it; log-linear unless told otherwise. */
  duration?: { buckets: readonly number[] } | LogLinearOptions;
  /**
   * Whether each request is a span too, which carries the header `traceparent` on.
   * @default false
   */
  spans?: boolean;
}

/** The label value of everything above a limit. */
export const OTHER = "(other)";

/**
 * Methods that have a label value of their own: those of RFC 9110 (section 9.3) and RFC 5789. Anybody may send any
 * other, so they share one.
 */
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
const INDEXES = new Map(METHODS.map((method, i) => [method, i]));

/** A small number for a method, so that a look-up is that of an array. */
export function methodIndex(method: string): number {
  return INDEXES.get(method) ?? METHODS.length;
}

export function methodLabel(index: number): string {
  return METHODS[index] ?? OTHER;
}
