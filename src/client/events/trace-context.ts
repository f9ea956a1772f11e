// How a span is known in other processes, and how that is written in the header `traceparent` of a request:
// https://www.w3.org/TR/trace-context/#traceparent-header

/** What others need to know of a span to continue its trace. */
export interface SpanContext {
  /** Thirty-two hex digits, not all of them 0. */
  readonly traceId: string;
  /** Sixteen, likewise. */
  readonly spanId: string;
  /** Eight bits, of which the lowest says that the trace is recorded. They go on as they came. */
  readonly flags: number;
}

/** The only flag that is looked at. */
export const SAMPLED = 1;

const HEADER = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ONLY_ZEROES = /^0+$/;

/** @returns undefined for what is no such header; a later version is read as far as this one knows it */
export function parseTraceparent(header: unknown): SpanContext | undefined {
  if (typeof header !== "string") return undefined;
  const [, version, traceId, spanId, flags, more] = HEADER.exec(header.trim()) ?? [];
  if (version === undefined || version === "ff") return undefined;
  if (version === "00" && more !== undefined) return undefined;
  return checkedContext({ traceId, spanId, flags: Number.parseInt(flags!, 16) });
}

export function formatTraceparent({ traceId, spanId, flags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(flags & 0xff).toString(16).padStart(2, "0")}`;
}

/** @returns undefined for what nobody can refer to */
export function checkedContext(given: unknown): SpanContext | undefined {
  if (typeof given !== "object" || given === null) return undefined;
  const { traceId, spanId, flags } = given as Record<string, unknown>;
  if (!isId(traceId, 32) || !isId(spanId, 16)) return undefined;
  return { traceId, spanId, flags: typeof flags === "number" ? flags & 0xff : 0 };
}

function isId(text: unknown, digits: number): text is string {
  return (
    typeof text === "string" &&
    text.length === digits &&
    /^[0-9a-f]+$/.test(text) &&
    !ONLY_ZEROES.test(text)
  );
}

/** The u32 that begins at a digit of an id, as an int. */
export function wordAt(id: string, digit: number): number {
  return Number.parseInt(id.slice(digit, digit + 8), 16) | 0;
}
