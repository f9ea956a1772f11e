// Which names of samples keep the type of their metric.
//
// Beside the names of its own samples a metric with a type claims others: OpenMetrics's counter `jobs_total` claims `jobs`
// and `jobs_created`, a histogram `wait` claims `wait` and `wait_created`. Readers refuse a whole text where a name is
// claimed twice ("MUST NOT result in a potential clash"). A metric without a type claims its samples' names alone, and
// shares them with any that have none. So whatever clashes gives up its type; nothing is renamed or left out.

import type { FamilyType, NameClash, SampleType } from "./shown.ts";

const HISTOGRAM_SUFFIXES = ["_bucket", "_sum", "_count"] as const;

/** The names of a metric's samples. */
export function sampleNamesOf(name: string, kind: FamilyType): readonly string[] {
  return kind === "histogram" ? HISTOGRAM_SUFFIXES.map((suffix) => name + suffix) : [name];
}

/** What OpenMetrics calls the family of a counter whose samples have a name; it has none for one without `_total`. */
export function counterFamilyOf(name: string): string | undefined {
  const has = name.endsWith("_total") && name.length > "_total".length;
  return has ? name.slice(0, -"_total".length) : undefined;
}

/** Names that a metric needs besides those of its samples, as long as it has a type. */
function claimedBy(name: string, kind: FamilyType): readonly string[] {
  if (kind === "histogram") return [name, `${name}_created`];
  const family = kind === "counter" ? counterFamilyOf(name) : undefined;
  return family === undefined ? [] : [family, `${family}_created`];
}

/** All names that a metric needs. */
function neededBy(name: string, kind: FamilyType): readonly string[] {
  return [...claimedBy(name, kind), ...sampleNamesOf(name, kind)];
}

export class SampleTypes {
  readonly clashes: NameClash[] = [];
  readonly #names = setsByType();
  readonly #untyped = setsByType();
  /** How many families need each name. */
  readonly #needs = new Map<string, number>();

  constructor(metrics: Iterable<{ names: { name: string }; kind: FamilyType }>) {
    for (const { names, kind } of metrics) this.#names[kind].add(names.name);
    const { counter, gauge, histogram } = this.#names;
    for (const name of counter) this.#need(neededBy(name, "counter"), 1);
    // What is a counter too is one family with it.
    for (const name of gauge) if (!counter.has(name)) this.#need([name], 1);
    for (const name of histogram) this.#need(neededBy(name, "histogram"), 1);
    for (const name of counter) if (gauge.has(name)) this.#untype(name, ["counter", "gauge"], name);
    // Counters give way first, since more depends on a histogram's type. All that clash do, whichever came first.
    this.#untypeClashing("counter", claimedBy);
    this.#untypeClashing("histogram", neededBy);
    // What is called as the samples of a histogram without type is one family with them.
    for (const name of this.#untyped.histogram) {
      for (const sample of sampleNamesOf(name, "histogram")) {
        this.#untype(sample, ["counter", "gauge"], sample);
      }
    }
  }

  of(name: string, kind: FamilyType): SampleType {
    return this.#untyped[kind].has(name) ? "unknown" : kind;
  }

  #need(names: readonly string[], more: 1 | -1): void {
    for (const name of names) this.#needs.set(name, (this.#needs.get(name) ?? 0) + more);
  }

  #untypeClashing(
    kind: FamilyType,
    namesOf: (name: string, kind: FamilyType) => readonly string[],
  ): void {
    const clashing = [...this.#names[kind]].flatMap((name) => {
      if (this.#untyped[kind].has(name)) return [];
      const taken = namesOf(name, kind).find((each) => this.#needs.get(each)! > 1);
      return taken === undefined ? [] : [{ name, taken }];
    });
    for (const { name, taken } of clashing) this.#untype(name, [kind], taken);
  }

  #untype(name: string, kinds: readonly FamilyType[], taken: string): void {
    for (const kind of kinds) {
      if (!this.#names[kind].has(name) || this.#untyped[kind].has(name)) continue;
      this.#untyped[kind].add(name);
      this.#need(claimedBy(name, kind), -1);
      this.clashes.push({ name, kind, taken, shown: "untyped" });
    }
  }
}

function setsByType(): Readonly<Record<FamilyType, Set<string>>> {
  return { counter: new Set(), gauge: new Set(), histogram: new Set() };
}
