// Which labels of ours a metric's series have besides its own: where it comes from and, if two metrics of one service
// would look alike, its declared name. A duplicate sample spoils the scrape of the whole host, so no service may be able
// to make one with labels that have our names.

import type { MetricDefinition } from "../../layout/index.ts";
import { AGENT_APP } from "../../layout/index.ts";
import { escapeLabelName, type NameScheme, type PrometheusNames } from "./names.ts";
import { sampleNamesOf } from "./sample-types.ts";
import type { AddedLabel, FamilyType, NameClash } from "./shown.ts";

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

/** @returns our labels for each metric, and the metrics that have more of them than where they come from */
export function addedLabels(
  metrics: readonly Labelled[],
  scheme: NameScheme,
): { added: readonly (readonly AddedLabel[])[]; clashes: readonly NameClash[] } {
  const places = placesOf(metrics);
  const added = metrics.map((metric) =>
    originLabels(metric, scheme, () => isAlone(metric, places)),
  );
  const originals = alikeInOnePlace(metrics, added, scheme);
  const clashes = [...originals.keys()].map((i): NameClash => {
    const { names, kind } = metrics[i]!;
    return { name: names.name, kind, taken: names.name, shown: "labelled" };
  });
  return { added: added.map((own, i) => [...own, ...(originals.get(i) ?? [])]), clashes };
}

/**
 * Where it comes from. Where the metric has a label of its own that is called as one of ours, that one stays, and ours is
 * called `microview_…`: with one more of these than any of the metric's own. So the longest of that kind is ours in every
 * metric, and two of different places never look alike.
 */
function originLabels(
  { origin, names }: Labelled,
  scheme: NameScheme,
  isAlone: () => boolean,
): AddedLabel[] {
  const own = names.labelNames;
  const added: AddedLabel[] = [];
  for (const name of ORIGIN_LABELS) {
    const value = origin[name];
    if (value === undefined) continue;
    if (!own.includes(name)) added.push([name, value]);
    const longest = own.some((label) => label.endsWith(name)) ? longestOf(name, own, scheme) : "";
    if (longest !== "" && !isAlone()) {
      added.push([escapeLabelName(`microview_${longest}`, scheme), value]);
    }
  }
  return added;
}

/** The longest of `name`, `microview_name` and so on that there is. */
function longestOf(name: string, own: readonly string[], scheme: NameScheme): string {
  let longest = "";
  const longestBytes = Math.max(...own.map((label) => label.length));
  for (let each = name; each.length <= longestBytes; each = `microview_${each}`) {
    if (own.includes(escapeLabelName(each, scheme))) longest = each;
  }
  return longest;
}

/** Where there are metrics whose samples have a name: a service, or several. */
type Places = ReadonlyMap<string, string | undefined>;

/** Only of names that the agent's own application has. */
function placesOf(metrics: readonly Labelled[]): Places {
  const places = new Map<string, string | undefined>();
  for (const { origin, names, kind } of metrics) {
    if (origin.app !== AGENT_APP) continue;
    for (const sample of sampleNamesOf(names.name, kind)) places.set(sample, placeOf(origin));
  }
  for (const { origin, names, kind } of places.size === 0 ? [] : metrics) {
    for (const sample of sampleNamesOf(names.name, kind)) {
      if (places.has(sample) && places.get(sample) !== placeOf(origin)) {
        places.set(sample, undefined);
      }
    }
  }
  return places;
}

/** The agent's own metrics about services have those services' labels, and nobody else has these names. */
function isAlone({ origin, names, kind }: Labelled, places: Places): boolean {
  if (origin.app !== AGENT_APP) return false;
  return sampleNamesOf(names.name, kind).every((sample) => places.get(sample) !== undefined);
}

function placeOf({ app, service, instance }: Origin): string {
  return JSON.stringify([app, service, instance]);
}

/**
 * Those of one service that would look alike: `a.b` and `a-b` of OpenTelemetry's, or a gauge `wait_count` beside the
 * histogram `wait`. @returns a label that says what each is called, by their index
 */
function alikeInOnePlace(
  metrics: readonly Labelled[],
  added: readonly (readonly AddedLabel[])[],
  scheme: NameScheme,
): Map<number, AddedLabel[]> {
  const originals = new Map<number, AddedLabel[]>();
  let left = suspects(metrics);
  // What has one more label may look like another one again; there are only so many that a metric can have.
  for (let isNew = left.length > 0; isNew; ) {
    isNew = false;
    const alike = Map.groupBy(
      left.flatMap((i) => looksOf(metrics[i]!, [...added[i]!, ...(originals.get(i) ?? [])], i)),
      ({ look }) => look,
    );
    for (const group of alike.values()) {
      const members = group.map(({ i }) => i);
      // A pool that is read twice has nothing that could tell it apart.
      if (new Set(members.map((i) => originalOf(metrics[i]!))).size === 1) continue;
      const plain = members.filter((i) => metrics[i]!.definition.dialect === undefined);
      for (const i of members) {
        const { definition, kind, names } = metrics[i]!;
        const isOne =
          definition.dialect !== undefined || (plain.length > 1 && kind !== "histogram");
        if (!isOne || originals.has(i)) continue;
        const name = freeName("microview_original", names.labelNames, scheme);
        originals.set(i, [[name, originalOf(metrics[i]!)]]);
        isNew = true;
      }
    }
    left = isNew ? left : [];
  }
  return originals;
}

/** Those that could look like others of their service: hardly ever there are any. */
function suspects(metrics: readonly Labelled[]): number[] {
  const scalars = new Set<string>();
  const names = new Set<string>();
  for (const { names: own, kind } of metrics) if (kind !== "histogram") scalars.add(own.name);
  for (const { names: own, kind, definition } of metrics) {
    const isTranslated = definition.dialect !== undefined;
    if (!isTranslated && kind !== "histogram") continue;
    for (const sample of sampleNamesOf(own.name, kind)) {
      if (isTranslated || scalars.has(sample)) names.add(sample);
    }
  }
  if (names.size === 0) return [];
  return [...metrics.keys()].filter((i) => {
    const { names: own, kind } = metrics[i]!;
    return sampleNamesOf(own.name, kind).some((sample) => names.has(sample));
  });
}

/** What distinguishes its samples from others: place, name and label names, whatever their values. */
function looksOf(
  { origin, names, kind }: Labelled,
  added: readonly AddedLabel[],
  i: number,
): { look: string; i: number }[] {
  const labels = [...names.labelNames, ...added.map(([name]) => name)];
  return sampleNamesOf(names.name, kind).map((sample) => {
    const hasBound = kind === "histogram" && sample.endsWith("_bucket");
    const all = [...labels, ...(hasBound ? ["le"] : [])].sort();
    return { look: JSON.stringify([placeOf(origin), sample, all]), i };
  });
}

/** The declared name of a metric. */
function originalOf({ definition: { name, labelNames } }: Labelled): string {
  return labelNames.length === 0 ? name : `${name}{${labelNames.join(",")}}`;
}

/** A name for a label of ours besides a metric's own: with a duplicate name the whole scrape is refused. */
export function freeName(name: string, own: readonly string[], scheme: NameScheme): string {
  const escaped = escapeLabelName(name, scheme);
  return own.includes(escaped) ? freeName(`microview_${name}`, own, scheme) : escaped;
}
