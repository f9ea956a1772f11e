// The names that a run has come across, for errors about globs that match none of them. For whoever reads
// snapshots for a person: a glob that has matched nothing by the end is an error, so that a typing error never looks
// like an empty answer.

import { type PoolSnapshot, poolKey, type Structure } from "../layout/index.ts";
import { NOTHING_FITS_ALL, type Unmatched, UnmatchedError, unmatched } from "../text/index.ts";
import type { Filter } from "./filter.ts";

export class Sightings {
  readonly #apps = new Set<string>();
  readonly #services = new Set<string>();
  readonly #metrics = new Set<string>();
  /** What was looked at of each pool. */
  readonly #seen = new Map<string, Structure>();
  #isAnyWanted = false;

  constructor(readonly filter: Filter) {}

  /** Applications that are there, wanted or not. */
  addApps(apps: Iterable<string>): void {
    for (const app of apps) this.#apps.add(app);
  }

  add(snapshot: PoolSnapshot): void {
    const { app, structure } = snapshot;
    const key = poolKey(snapshot);
    if (this.#seen.get(key) === structure) return;
    this.#seen.set(key, structure);
    this.#apps.add(app);
    for (const service of structure.names.services) this.#services.add(service);
    for (const metric of structure.names.metrics) this.#metrics.add(metric);
    this.#isAnyWanted ||= structure.metrics.length > 0;
  }

  /** Errors about globs that have matched nothing so far. */
  complaints(): Unmatched[] {
    const { apps, services, metrics } = this.filter;
    const noApp = unmatched("application", apps, this.#apps);
    // The services and metrics of applications that were not read are unknown.
    if (noApp.length > 0) return noApp;
    const missing = [
      ...unmatched("service", services, this.#services),
      ...unmatched("metric", metrics, this.#metrics),
    ];
    const isFiltered = services.length > 0 || metrics.length > 0;
    if (missing.length > 0 || !isFiltered || this.#isAnyWanted) return missing;
    return [NOTHING_FITS_ALL];
  }

  /** That no application is there that the globs fit. */
  appFailure(): UnmatchedError | undefined {
    const [first] = unmatched("application", this.filter.apps, this.#apps);
    return first && new UnmatchedError(first);
  }

  /** Says all of them but the first, which is what a run fails with in the end. */
  failure(say: (text: string) => void): UnmatchedError | undefined {
    const [first, ...others] = this.complaints();
    for (const { message, hint } of others) say(`${message}: ${hint}`);
    return first && new UnmatchedError(first);
  }
}
