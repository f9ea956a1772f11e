// The names of all pools that go to one receiver. It has one table of them, as an exposition has, so that what it is sent
// is called as what is scraped.

import {
  type NameClash,
  type NamedMetric,
  type NameScheme,
  SampleNames,
  type Shown,
} from "../../exposition/index.ts";
import type { Metric } from "../../layout/index.ts";

export interface SharedMetric extends NamedMetric {
  metric: Metric;
}

/** Up to so many metrics the table is made again at once; beyond, when many pools come together, now and then. */
const AT_ONCE_METRICS_MAX = 5000;
const RENEWAL_MS = 1000;

interface Pool {
  metrics: readonly SharedMetric[];
  /** As the table has them. */
  shown: readonly Shown[];
}

export class SharedNames {
  /** Raised whenever metrics that were known already are shown otherwise. */
  version = 0;
  /** Raised whenever labels of series are free again: what was left out for them may come. */
  released = 0;
  readonly #pools = new Map<object, Pool>();
  #clashes: readonly NameClash[] = [];
  #metricCount = 0;
  #isStale = false;
  #renewedMs = Number.NEGATIVE_INFINITY;

  /** @param scheme how names are spelt that are not Prometheus's own */
  constructor(readonly scheme: NameScheme) {}

  get clashes(): readonly NameClash[] {
    return this.#clashes;
  }

  /** Takes what a pool has now. @returns how each of its metrics is shown */
  take(pool: object, metrics: readonly SharedMetric[]): Map<Metric, Shown> {
    const known = this.#pools.get(pool);
    const isKnown =
      known?.metrics.length === metrics.length &&
      known.metrics.every(({ metric }, i) => metric === metrics[i]!.metric);
    if (!isKnown) {
      // Until the table is made again, as if there were no others.
      const { shown } = new SampleNames(metrics, this.scheme);
      this.#pools.set(pool, { metrics, shown });
      this.#metricCount += metrics.length - (known?.metrics.length ?? 0);
      this.#isStale = true;
      this.settle();
    }
    const { shown } = this.#pools.get(pool)!;
    return new Map(metrics.map(({ metric }, i) => [metric, shown[i]!]));
  }

  remove(pool: object): void {
    this.#metricCount -= this.#pools.get(pool)?.metrics.length ?? 0;
    if (this.#pools.delete(pool)) this.#isStale = true;
    this.settle();
  }

  /** Makes the table again if that is due. */
  settle(): void {
    if (!this.#isStale) return;
    const isSmall = this.#metricCount <= AT_ONCE_METRICS_MAX;
    if (!isSmall && performance.now() - this.#renewedMs < RENEWAL_MS) return;
    this.#renew();
    this.#isStale = false;
    this.#renewedMs = performance.now();
  }

  #renew(): void {
    const pools = [...this.#pools.values()];
    const table = new SampleNames(
      pools.flatMap(({ metrics }) => metrics),
      this.scheme,
    );
    this.#clashes = table.clashes;
    let at = 0;
    let isOther = false;
    for (const pool of pools) {
      const shown = table.shown.slice(at, at + pool.metrics.length);
      at += shown.length;
      isOther ||= pool.shown.some((before, i) => !isSameShown(before, shown[i]!));
      pool.shown = shown;
    }
    if (isOther) this.version++;
  }
}

export function isSameShown(a: Shown, b: Shown): boolean {
  return (
    a.names === b.names &&
    a.type === b.type &&
    a.added.length === b.added.length &&
    a.added.every(([name, value], i) => name === b.added[i]![0] && value === b.added[i]![1])
  );
}
