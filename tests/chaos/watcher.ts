// Looks at every snapshot of a collector for what must never show: a value that went back, that is torn, or that is
// somebody else's.

import type { PoolSnapshot } from "../../src/collector/index.ts";
import type { Metric, Structure } from "../../src/layout/index.ts";

interface WatchedSeries {
  name: string;
  metric: Metric;
  /** Of its first value in a snapshot; −1 when it has none. */
  index: number;
  step: number;
}

interface Watched {
  structure: Structure;
  series: WatchedSeries[];
}

const MAX_VIOLATIONS = 20;

export class Watcher {
  /** What was seen and must not be; the first few. */
  readonly violations: string[] = [];
  snapshots = 0;
  /** Snapshots after which the agent had been away. */
  gaps = 0;
  /** How often series were numbered again. */
  compactions = 0;
  readonly #watched = new Map<string, Watched>();
  /** Highest values seen, by series. */
  readonly #highest = new Map<string, Float64Array>();

  /**
   * @param name of the collector, for its violations
   * @param stepOf what all values of a service are multiples of; undefined for a service that must not be there
   */
  constructor(
    readonly name: string,
    readonly stepOf: (app: string, service: string) => number | undefined,
  ) {}

  /** The latest values of a counter or histogram, as `app/service/metric{labels}`: they never go back. */
  last(series: string): number[] {
    return [...(this.#highest.get(series) ?? [])];
  }

  look(snapshot: PoolSnapshot): void {
    this.snapshots++;
    if (snapshot.gap !== undefined) this.gaps++;
    const { app, structure } = snapshot;
    let watched = this.#watched.get(app);
    if (watched !== undefined && !structure.continues(watched.structure)) this.compactions++;
    if (watched?.structure !== structure) {
      watched = { structure, series: this.#seriesOf(app, structure) };
      this.#watched.set(app, watched);
    }
    for (const series of watched.series) this.#check(series, snapshot);
  }

  #check({ name, metric, index, step }: WatchedSeries, { values, sequence }: PoolSnapshot): void {
    if (index < 0) return;
    const { kind } = metric.definition;
    const highest = this.#highest.get(name)!;
    for (let i = 0; i < metric.slots; i++) {
      const value = values[index + i]!;
      // A gauge that nobody alive has set is absent.
      if (kind === "gauge" && Number.isNaN(value)) continue;
      const isCount = kind === "histogram" && i < metric.slots - 1;
      if (!Number.isSafeInteger(value) || value < 0) {
        this.#violated(`${name}[${i}] is torn: ${value} in snapshot ${sequence}`);
      } else if (!isCount && value % step !== 0) {
        this.#violated(`${name}[${i}] is not its own: ${value} in snapshot ${sequence}`);
      }
      if (kind === "gauge") continue;
      if (value < highest[i]!) {
        const change = `from ${highest[i]} to ${value}`;
        this.#violated(`${name}[${i}] went back ${change} in snapshot ${sequence}`);
      }
      highest[i] = value;
    }
  }

  #seriesOf(app: string, structure: Structure): WatchedSeries[] {
    const found = new Map<string, WatchedSeries>();
    for (const entry of structure.metrics) {
      const { metric, service, indexes } = entry;
      const step = this.stepOf(app, service);
      if (step === undefined) {
        this.#violated(`${app} has the service ${service}`);
        continue;
      }
      for (const [at, index] of indexes.entries()) {
        const labels = structure.labelValues(entry, at).join(",");
        const name = `${app}/${service}/${metric.definition.name}{${labels}}`;
        if (found.has(name)) this.#violated(`${name} is there twice`);
        found.set(name, { name, metric, index, step });
        if (!this.#highest.has(name)) this.#highest.set(name, new Float64Array(metric.slots));
      }
    }
    for (const [name, values] of this.#highest) {
      const isMissing = (found.get(name)?.index ?? -1) < 0;
      if (name.startsWith(`${app}/`) && isMissing && values.some((value) => value > 0)) {
        this.#violated(`${name} is gone, it was ${values}`);
      }
    }
    return [...found.values()];
  }

  #violated(what: string): void {
    if (this.violations.length < MAX_VIOLATIONS) this.violations.push(`${this.name}: ${what}`);
  }
}
