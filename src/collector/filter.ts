// Which applications, services and metrics a reader wants: globs, of which any may match; none means all.

import type { Metric } from "../layout/index.ts";
import { globs } from "../text/index.ts";

/** Globs as the command line takes them; an empty list wants everything. */
export interface Filter {
  apps: readonly string[];
  services: readonly string[];
  metrics: readonly string[];
}

export const EVERYTHING: Filter = { apps: [], services: [], metrics: [] };

/** So many results are kept: names come and go while a collector runs. */
const NAMES_MAX = 10_000;

/** A filter's tests, made once: results are kept per name, for most are asked for again and again. */
export interface Wanted {
  app(name: string): boolean;
  metric(service: string, metric: Metric): boolean;
}

export function wantedBy(filter: Filter): Wanted {
  const services = remember(globs(filter.services));
  const metrics = remember(globs(filter.metrics));
  return {
    app: globs(filter.apps),
    metric: (service, { definition }) => services(service) && metrics(definition.name),
  };
}

function remember(test: (name: string) => boolean): (name: string) => boolean {
  const known = new Map<string, boolean>();
  return (name) => {
    let answer = known.get(name);
    if (answer === undefined) {
      answer = test(name);
      if (known.size === NAMES_MAX) known.clear();
      known.set(name, answer);
    }
    return answer;
  };
}
