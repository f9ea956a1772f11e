// Under which names and labels a metric is shown, decided once for everything that goes into one exposition: the text
// formats and remote write ask the same table, and so show the same. It depends on what there is, and not on the order in
// which that came. Decision 0035 says why it is so.

import type { MetricDefinition } from "../metrics/metric.ts";
import { type NameScheme, type PrometheusNames, prometheusNames } from "./names.ts";
import { addedLabels, type Origin } from "./sample-labels.ts";
import { SampleTypes } from "./sample-types.ts";

/** A metric's type, or none. */
export type SampleType = FamilyType | "unknown";
export type FamilyType = "counter" | "gauge" | "histogram";

/** A metric of one service in one pool. */
export interface NamedMetric {
  origin: Origin;
  definition: MetricDefinition;
}

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

/** Clashes that are listed. */
const CLASHES_MAX = 1000;

/** The table of all metrics that are shown together. */
export class SampleNames {
  /** How each metric is shown, in their order. */
  readonly shown: readonly Shown[];
  /** The first thousand, by name. */
  readonly clashes: readonly NameClash[];

  constructor(metrics: readonly NamedMetric[], scheme: NameScheme = "underscores") {
    const named = metrics.map(({ origin, definition }) => ({
      origin,
      definition,
      kind: familyTypeOf(definition),
      names: prometheusNames(definition, scheme),
    }));
    const types = new SampleTypes(named);
    const labels = addedLabels(named, scheme);
    this.shown = named.map(({ names, kind }, i) => ({
      names,
      type: types.of(names.name, kind),
      added: labels.added[i]!,
    }));
    const clashes = [...types.clashes, ...labels.clashes].sort(byName);
    this.clashes = clashes.slice(0, CLASHES_MAX);
  }
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

function byName(a: NameClash, b: NameClash): number {
  const [one, other] = [a, b].map(({ name, kind, shown }) => `${name} ${kind} ${shown}`);
  return one! < other! ? -1 : 1;
}
