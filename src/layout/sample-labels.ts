// Which labels of ours a metric's series have beside its own: where it comes from, and, where series of two metrics could
// look alike, what tells them apart. A sample that stands twice spoils the scrape of the whole host, so a service must not
// be able to make one by labels that are called as ours.

import type { MetricDefinition } from "./metric.ts";
import { escapeLabelName, type NameScheme, type PrometheusNames } from "./prometheus-names.ts";
import type { AddedLabel, FamilyType, NameClash } from "./sample-names.ts";
import { sampleNamesOf } from "./sample-types.ts";

/** Where a series comes from; its labels, in the order in which they are written. */
export interface Origin {
  app: string;
  service: string;
  /** The agent, where there are several. */
  instance: string | undefined;
}
const ORIGIN_LABELS = ["app", "service", "instance"] as const;

interface Labelled {
  origin: Origin;
  definition: MetricDefinition;
  kind: FamilyType;
  names: PrometheusNames;
}

class Labels {
  /** Labels of ours that the metric has too are called `microview_…` instead of being left out. */
  isQualified = false;
  /** A label says what the metric is really called. */
  hasOriginal = false;
  readonly place: string;

  constructor(
    readonly of: Labelled,
    readonly scheme: NameScheme,
  ) {
    const { app, service, instance } = of.origin;
    this.place = JSON.stringify([app, service, instance]);
  }

  /** The metric has a label of its own that is called as one of ours, which is left out for that. */
  get hides(): boolean {
    const { origin, names } = this.of;
    const isHidden = (name: keyof Origin) =>
      origin[name] !== undefined && names.labelNames.includes(name);
    return !this.isQualified && ORIGIN_LABELS.some(isHidden);
  }

  get isTranslated(): boolean {
    return this.of.definition.dialect !== undefined;
  }

  /** What the metric is really called. */
  get original(): string {
    const { name, labelNames } = this.of.definition;
    return labelNames.length === 0 ? name : `${name}{${labelNames.join(",")}}`;
  }

  /** Ours, all of whose values are known. */
  added(): AddedLabel[] {
    const { origin, names } = this.of;
    const own = names.labelNames;
    const added: AddedLabel[] = [];
    for (const name of ORIGIN_LABELS) {
      const value = origin[name];
      if (value === undefined) continue;
      if (!own.includes(name)) added.push([name, value]);
      else if (this.isQualified) added.push([freeName(name, own, this.scheme), value]);
    }
    if (this.hasOriginal) {
      added.push([freeName("microview_original", own, this.scheme), this.original]);
    }
    return added;
  }
}

/** @returns the labels of ours of each metric, and who has more of them than where it comes from */
export function addedLabels(
  metrics: readonly Labelled[],
  scheme: NameScheme,
): { added: readonly (readonly AddedLabel[])[]; clashes: readonly NameClash[] } {
  const all = metrics.map((metric) => new Labels(metric, scheme));
  // More labels may look like those of another one again; there are only so many that a metric can have.
  while (tellApart(all));
  const clashes = all.flatMap(({ of: { names, kind }, hasOriginal }): NameClash[] =>
    hasOriginal ? [{ name: names.name, kind, taken: names.name, shown: "labelled" }] : [],
  );
  return { added: all.map((labels) => labels.added()), clashes };
}

/** @returns whether anything has got more labels */
function tellApart(all: readonly Labels[]): boolean {
  const alike = new Map<string, Labels[]>();
  for (const labels of all) {
    const { names, kind } = labels.of;
    const labelNames = [...names.labelNames, ...labels.added().map(([name]) => name)];
    for (const sample of sampleNamesOf(names.name, kind)) {
      const hasBound = kind === "histogram" && sample.endsWith("_bucket");
      const key = JSON.stringify([sample, ...[...labelNames, ...(hasBound ? ["le"] : [])].sort()]);
      const known = alike.get(key);
      if (known === undefined) alike.set(key, [labels]);
      else known.push(labels);
    }
  }
  let changed = false;
  for (const group of alike.values()) {
    if (group.length === 1) continue;
    changed = qualify(group) || changed;
    changed = nameOriginals(group) || changed;
  }
  return changed;
}

/** Says where those come from whose own labels could say that they come from elsewhere. */
function qualify(group: readonly Labels[]): boolean {
  if (!group.some(({ hides }) => hides)) return false;
  const byFixed = new Map<string, { names: string[]; members: Labels[] }>();
  for (const labels of group) {
    const names = labels.added().map(([name]) => name);
    const key = JSON.stringify(names);
    const known = byFixed.get(key);
    if (known === undefined) byFixed.set(key, { names, members: [labels] });
    else known.members.push(labels);
  }
  const found = new Set<Labels>();
  for (const one of byFixed.values()) {
    if (!one.members.some(({ hides }) => hides)) continue;
    for (const other of byFixed.values()) {
      // Two can look alike where what is known of both is the same.
      const common = new Set(one.names.filter((name) => other.names.includes(name)));
      const knownOf = (labels: Labels) =>
        JSON.stringify(labels.added().filter(([name]) => common.has(name)));
      const places = new Map<string, Set<string>>();
      for (const labels of other.members) {
        const key = knownOf(labels);
        places.set(key, (places.get(key) ?? new Set()).add(labels.place));
      }
      for (const labels of one.members) {
        const there = places.get(knownOf(labels));
        if (there === undefined || !labels.hides) continue;
        if (there.size > 1 || !there.has(labels.place)) found.add(labels);
      }
    }
  }
  for (const labels of found) labels.isQualified = true;
  return found.size > 0;
}

/**
 * Says what those of one service are called that look alike: `a.b` and `a-b` of OpenTelemetry's, or a gauge `wait_count`
 * beside the histogram `wait`.
 */
function nameOriginals(group: readonly Labels[]): boolean {
  const byPlace = new Map<string, Labels[]>();
  for (const labels of group) {
    const known = byPlace.get(labels.place);
    if (known === undefined) byPlace.set(labels.place, [labels]);
    else known.push(labels);
  }
  let changed = false;
  for (const members of byPlace.values()) {
    // A pool that is read twice has nothing that could tell it apart.
    if (new Set(members.map(({ original }) => original)).size === 1) continue;
    const plain = members.filter(({ isTranslated }) => !isTranslated);
    for (const labels of members) {
      const isOne = labels.isTranslated || (plain.length > 1 && labels.of.kind !== "histogram");
      if (!isOne || labels.hasOriginal) continue;
      labels.hasOriginal = true;
      changed = true;
    }
  }
  return changed;
}

/** A label of ours beside a metric's own: no name may stand twice, or the whole scrape is refused. */
export function freeName(name: string, own: readonly string[], scheme: NameScheme): string {
  const escaped = escapeLabelName(name, scheme);
  return own.includes(escaped) ? freeName(`microview_${name}`, own, scheme) : escaped;
}
