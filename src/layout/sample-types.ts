// Which names of samples keep the type of their metric.
//
// Beside the names of its own samples a metric with a type claims others: OpenMetrics's counter `jobs_total` claims `jobs`
// and `jobs_created`, a histogram `wait` claims `wait` and `wait_created`. Readers refuse a whole text where a name is
// claimed twice ("MUST NOT result in a potential clash"). A metric without a type claims its samples' names alone, and
// shares them with any that have none. So whatever clashes gives up its type; nothing is renamed or left out.

import type { FamilyType, NameClash, SampleType } from "./sample-names.ts";

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

export class SampleTypes {
  readonly clashes: NameClash[] = [];
  readonly #names: Readonly<Record<FamilyType, Set<string>>> = {
    counter: new Set(),
    gauge: new Set(),
    histogram: new Set(),
  };
  readonly #untyped: Readonly<Record<FamilyType, Set<string>>> = {
    counter: new Set(),
    gauge: new Set(),
    histogram: new Set(),
  };

  constructor(metrics: Iterable<{ name: string; kind: FamilyType }>) {
    for (const { name, kind } of metrics) this.#names[kind].add(name);
    const { counter, gauge, histogram } = this.#names;
    for (const name of counter) if (gauge.has(name)) this.#untype(name, ["counter", "gauge"], name);
    // Counters give way first, since more depends on a histogram's type. All that clash do, whichever came first.
    this.#untypeClashing("counter", (name) => claimedBy(name, "counter"));
    this.#untypeClashing("histogram", (name) => [
      ...claimedBy(name, "histogram"),
      ...sampleNamesOf(name, "histogram"),
    ]);
    // What is called as the samples of a histogram without type is one family with them.
    for (const name of histogram) {
      if (!this.#untyped.histogram.has(name)) continue;
      for (const sample of sampleNamesOf(name, "histogram")) {
        this.#untype(sample, ["counter", "gauge"], sample);
      }
    }
  }

  of(name: string, kind: FamilyType): SampleType {
    return this.#untyped[kind].has(name) ? "unknown" : kind;
  }

  #untypeClashing(kind: FamilyType, claims: (name: string) => readonly string[]): void {
    const claimants = this.#claimants();
    const clashing = [...this.#names[kind]].flatMap((name) => {
      if (this.#untyped[kind].has(name)) return [];
      const taken = claims(name).find((each) => claimants.get(each)! > 1);
      return taken === undefined ? [] : [{ name, taken }];
    });
    for (const { name, taken } of clashing) this.#untype(name, [kind], taken);
  }

  /** How many families need each name. */
  #claimants(): Map<string, number> {
    const claimants = new Map<string, number>();
    const add = (name: string) => claimants.set(name, (claimants.get(name) ?? 0) + 1);
    const { counter, gauge, histogram } = this.#names;
    for (const name of new Set([...counter, ...gauge])) add(name);
    for (const name of histogram)
      for (const sample of sampleNamesOf(name, "histogram")) add(sample);
    for (const kind of ["counter", "histogram"] as const) {
      for (const name of this.#names[kind]) {
        if (!this.#untyped[kind].has(name))
          for (const claimed of claimedBy(name, kind)) add(claimed);
      }
    }
    return claimants;
  }

  #untype(name: string, kinds: readonly FamilyType[], taken: string): void {
    for (const kind of kinds) {
      if (!this.#names[kind].has(name) || this.#untyped[kind].has(name)) continue;
      this.#untyped[kind].add(name);
      this.clashes.push({ name, kind, taken, shown: "untyped" });
    }
  }
}
