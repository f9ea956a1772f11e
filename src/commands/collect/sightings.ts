// What a run of `microview collect` has come across, to tell the person whose globs fit none of it.

import { type Filter, wantedBy } from "../../collector/index.ts";
import type { PoolSnapshot } from "../../layout/index.ts";
import { unmatched } from "../support/unmatched.ts";

export class Sightings {
  readonly #apps = new Set<string>();
  readonly #services = new Set<string>();
  readonly #metrics = new Set<string>();
  readonly #wanted: ReturnType<typeof wantedBy>["metric"];
  #isAnyWanted = false;

  constructor(readonly filter: Filter) {
    this.#wanted = wantedBy(filter).metric;
  }

  add({ app, directory }: PoolSnapshot): void {
    this.#apps.add(app);
    for (const service of directory.services.values()) this.#services.add(service);
    for (const metric of directory.metrics.values()) {
      if (metric.retired) continue;
      this.#metrics.add(metric.definition.name);
      this.#isAnyWanted ||= this.#wanted(directory.services.get(metric.service) ?? "", metric);
    }
  }

  /** What is to be said of globs that fit nothing. */
  complaints(): string[] {
    const { apps, services, metrics } = this.filter;
    const missing = [
      ...unmatched("application", apps, this.#apps),
      ...unmatched("service", services, this.#services),
      ...unmatched("metric", metrics, this.#metrics),
    ].map(({ message, hint }) => `${message}: ${hint}`);
    const isFiltered = services.length > 0 || metrics.length > 0;
    if (missing.length > 0 || !isFiltered || this.#isAnyWanted) return missing;
    return ["no series matches: each of the globs fits something, but nothing fits all of them"];
  }
}
