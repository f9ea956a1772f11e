// Under which names and labels a metric is shown, decided once for everything that goes into one exposition: the text
// formats and remote write ask the same table, and so show the same. It depends on what there is, and not on the order in
// which that came. Decision 0035 says why it is so.

import type { MetricDefinition } from "../../layout/index.ts";
import { type NameScheme, prometheusNames } from "./names.ts";
import { addedLabels, type Origin } from "./sample-labels.ts";
import { SampleTypes } from "./sample-types.ts";
import { familyTypeOf, type NameClash, type Shown } from "./shown.ts";

/** A metric of one service in one pool. */
export interface NamedMetric {
  origin: Origin;
  definition: MetricDefinition;
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

function byName(a: NameClash, b: NameClash): number {
  const [one, other] = [a, b].map(({ name, kind, shown }) => `${name} ${kind} ${shown}`);
  return one! < other! ? -1 : 1;
}
