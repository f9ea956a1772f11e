// How a metric is shown, and the clashes that make it so. What sample-names.ts answers, and its parts work with.

import type { MetricDefinition } from "../../layout/index.ts";
import type { PrometheusNames } from "./names.ts";

/** A metric's type, or none. */
export type SampleType = FamilyType | "unknown";
export type FamilyType = "counter" | "gauge" | "histogram";

/** How a metric is shown. */
export interface Shown {
  readonly names: PrometheusNames;
  /** Of a histogram `unknown`: then its buckets, sums and counts are three families without a type. */
  readonly type: SampleType;
  /** Labels beside the metric's own. */
  readonly added: readonly AddedLabel[];
}

export type AddedLabel = readonly [name: string, value: string];

/** A metric that is shown otherwise than it was declared, for another needs one of its names. */
export interface NameClash {
  /** As it is shown. */
  readonly name: string;
  readonly kind: FamilyType;
  /** The name that both need. */
  readonly taken: string;
  /** What becomes of it: shown without its type, or with one more label. */
  readonly shown: "untyped" | "labelled";
}

export function familyTypeOf({ kind }: Pick<MetricDefinition, "kind">): FamilyType {
  return kind === "loglinear" ? "histogram" : kind;
}

/** A clash in words. */
export function describeClash({ name, kind, taken, shown }: NameClash): string {
  const reason = `another metric needs the name ${taken}`;
  return shown === "untyped"
    ? `the ${kind} ${name} is shown without its type: ${reason}`
    : `the ${kind} ${name} is shown with the label microview_original: ${reason} and the same labels`;
}
