// The names of all pools that go to one receiver. It has one table of them, as an exposition has, so that what it is sent
// is called as what is scraped.

import {
  type Metric,
  type NameClash,
  type NamedMetric,
  type NameScheme,
  SampleNames,
  type Shown,
} from "../layout/index.ts";

export interface SharedMetric extends NamedMetric {
  metric: Metric;
}

export class SharedNames {
  /** Raised whenever metrics that were known already are shown otherwise. */
  version = 0;
  readonly #pools = new Map<object, readonly SharedMetric[]>();
  #table = new SampleNames<SharedMetric>([]);

  /** @param scheme how names are spelt that are not Prometheus's own */
  constructor(readonly scheme: NameScheme) {}

  get clashes(): readonly NameClash[] {
    return this.#table.clashes;
  }

  /** Takes what a pool has now. @returns how each of its metrics is shown */
  take(pool: object, metrics: readonly SharedMetric[]): Map<Metric, Shown> {
    const known = this.#pools.get(pool);
    const isKnown =
      known?.length === metrics.length &&
      known.every(({ metric }, i) => metric === metrics[i]!.metric);
    if (!isKnown) {
      this.#pools.set(pool, metrics);
      this.#renew(pool);
    }
    const table = this.#table;
    return new Map(this.#pools.get(pool)!.map((each) => [each.metric, table.of(each)]));
  }

  remove(pool: object): void {
    if (this.#pools.delete(pool)) this.#renew(pool);
  }

  #renew(changed: object): void {
    const before = this.#table;
    this.#table = new SampleNames([...this.#pools.values()].flat(), this.scheme);
    for (const [pool, metrics] of this.#pools) {
      if (pool === changed) continue;
      if (metrics.every((each) => isSameShown(before.of(each), this.#table.of(each)))) continue;
      this.version++;
      return;
    }
  }
}

export function isSameShown(a: Shown, b: Shown): boolean {
  return (
    a.names === b.names && a.type === b.type && JSON.stringify(a.added) === JSON.stringify(b.added)
  );
}
