// How much a span may have, as the environment or the program says.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#attribute-limits

import { OTEL_COUNT_MAX } from "../../layout/index.ts";

export interface SpanLimits {
  /** Attributes of a span. @default 128 */
  attributeCountLimit?: number;
  /** Characters of a text among attributes. @default Infinity */
  attributeValueLengthLimit?: number;
  /** @default 128 */
  eventCountLimit?: number;
  /** @default 128 */
  linkCountLimit?: number;
  /** @default 128 */
  attributePerEventCountLimit?: number;
  /** @default 128 */
  attributePerLinkCountLimit?: number;
}

export type Limits = Readonly<Required<SpanLimits>>;

export function limitsOf(
  given: SpanLimits | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Limits {
  const from = (value: number | undefined, fallback: number, ...names: string[]): number => {
    if (isLimit(value)) return value;
    for (const name of names) {
      const text = env[name]?.trim() ?? "";
      if (text !== "" && isLimit(Number(text))) return Number(text);
    }
    return fallback;
  };
  return {
    attributeCountLimit: from(
      given?.attributeCountLimit,
      OTEL_COUNT_MAX,
      ...["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"],
    ),
    attributeValueLengthLimit: from(
      given?.attributeValueLengthLimit,
      Number.POSITIVE_INFINITY,
      ...["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"],
    ),
    eventCountLimit: from(given?.eventCountLimit, OTEL_COUNT_MAX, "OTEL_SPAN_EVENT_COUNT_LIMIT"),
    linkCountLimit: from(given?.linkCountLimit, OTEL_COUNT_MAX, "OTEL_SPAN_LINK_COUNT_LIMIT"),
    attributePerEventCountLimit: from(
      given?.attributePerEventCountLimit,
      OTEL_COUNT_MAX,
      "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    ),
    attributePerLinkCountLimit: from(
      given?.attributePerLinkCountLimit,
      OTEL_COUNT_MAX,
      "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    ),
  };
}

function isLimit(value: number | undefined): value is number {
  return value !== undefined && value >= 0;
}

/** A value of an attribute, its texts not longer than allowed. */
export function cutValue(value: unknown, lengthLimit: number): unknown {
  if (typeof value === "string") {
    return value.length > lengthLimit ? value.slice(0, lengthLimit) : value;
  }
  if (!Array.isArray(value) || lengthLimit === Number.POSITIVE_INFINITY) return value;
  return value.map((each) => cutValue(each, lengthLimit));
}

/** Attributes of an event or link within the limits, and how many were left out. */
export function limited(
  attributes: unknown,
  countLimit: number,
  lengthLimit: number,
): { attributes: Record<string, unknown> | undefined; dropped: number } {
  if (typeof attributes !== "object" || attributes === null) {
    return { attributes: undefined, dropped: 0 };
  }
  const kept: Record<string, unknown> = Object.create(null);
  let count = 0;
  let dropped = 0;
  for (const key in attributes) {
    if (count >= countLimit) {
      dropped++;
      continue;
    }
    const value = (attributes as Record<string, unknown>)[key];
    if (value === undefined || value === null) continue;
    kept[key] = cutValue(value, lengthLimit);
    count++;
  }
  return { attributes: count === 0 ? undefined : kept, dropped };
}
