// The names that a run has come across, for errors about globs that match none of them. For whoever reads
// snapshots for a person: a glob that has matched nothing by the end is an error, so that a typing error never looks
// like an empty answer.

import type { PoolSnapshot, Structure } from "../layout/index.ts";
import {
  globs,
  NOTHING_FITS_ALL,
  type Unmatched,
  UnmatchedError,
  unmatched,
} from "../text/index.ts";
import type { Filter } from "./filter.ts";

/** Names that are remembered, of applications, of services and of metrics. An error shows a few of them. */
const MAX_NAMES = 10_000;

/** The names of one kind that a run has come across, as far as errors about its globs need them. */
class Names {
  readonly names = new Set<string>();
  readonly #fits: readonly ((name: string) => boolean)[];

  constructor(readonly patterns: readonly string[]) {
    this.#fits = patterns.map((pattern) => globs([pattern]));
  }

  /** When there is no more room a name is still taken in for a glob that has matched nothing else. */
  add(name: string): void {
    if (this.patterns.length === 0) return;
    if (this.names.size < MAX_NAMES || this.#fits.some((fits) => fits(name) && !this.#hasFor(fits)))
      this.names.add(name);
  }

  /** Errors about globs that fit none of them. */
  unmatched(what: string): Unmatched[] {
    return unmatched(what, this.patterns, this.names);
  }

  #hasFor(fits: (name: string) => boolean): boolean {
    return this.names.values().some(fits);
  }
}

export class Sightings {
  readonly #apps: Names;
  readonly #services: Names;
  readonly #metrics: Names;
  /** Structures whose names were taken in. They are not kept for that. */
  readonly #seen = new WeakSet<Structure>();
  #isAnyWanted = false;

  constructor(readonly filter: Filter) {
    this.#apps = new Names(filter.apps);
    this.#services = new Names(filter.services);
    this.#metrics = new Names(filter.metrics);
  }

  /** How many names are remembered. */
  get size(): number {
    return this.#apps.names.size + this.#services.names.size + this.#metrics.names.size;
  }

  /** A series has been seen that all globs fit. */
  get isAnyWanted(): boolean {
    return this.#isAnyWanted;
  }

  /** Applications that are there, wanted or not. */
  addApps(apps: Iterable<string>): void {
    for (const app of apps) this.#apps.add(app);
  }

  add({ app, structure }: PoolSnapshot): void {
    if (this.#seen.has(structure)) return;
    this.#seen.add(structure);
    this.#apps.add(app);
    for (const service of structure.names.services) this.#services.add(service);
    for (const metric of structure.names.metrics) this.#metrics.add(metric);
    this.#isAnyWanted ||= structure.metrics.length > 0;
  }

  /** Errors about globs that have matched nothing so far. */
  unmatchedGlobs(): Unmatched[] {
    const { services, metrics } = this.filter;
    const noApp = this.#apps.unmatched("application");
    // The services and metrics of applications that were not read are unknown.
    if (noApp.length > 0) return noApp;
    const missing = [...this.#services.unmatched("service"), ...this.#metrics.unmatched("metric")];
    const isFiltered = services.length > 0 || metrics.length > 0;
    if (missing.length > 0 || !isFiltered || this.#isAnyWanted) return missing;
    return [NOTHING_FITS_ALL];
  }

  /** That no application is there that the globs fit. @param say takes all but the first of several */
  appFailure(say: (line: string) => void): UnmatchedError | undefined {
    return failureOf(this.#apps.unmatched("application"), say);
  }

  /** That globs have matched nothing. @param say takes all but the first of several */
  failure(say: (line: string) => void): UnmatchedError | undefined {
    return failureOf(this.unmatchedGlobs(), say);
  }
}

/** A run fails with one error. */
function failureOf(
  [first, ...others]: readonly Unmatched[],
  say: (line: string) => void,
): UnmatchedError | undefined {
  for (const { message, hint } of others) say(`${message}: ${hint}`);
  return first && new UnmatchedError(first);
}
