// Which applications, services and metrics a reader wants: globs, of which any may match; none means all.

import type { Metric, Writer } from "../layout/index.ts";

/** Globs as the command line takes them; an empty list wants everything. */
export interface Filter {
  apps: readonly string[];
  services: readonly string[];
  metrics: readonly string[];
}

export const EVERYTHING: Filter = { apps: [], services: [], metrics: [] };

/** Whether a text matches any of the globs, or there are none. */
export function matches(globs: readonly string[], text: string): boolean {
  return globs.length === 0 || globs.some((glob) => new Bun.Glob(glob).match(text));
}

/** The test that a read plan applies to each writer and metric; results are kept per name. */
export function wantedBy(filter: Filter): (writer: Writer, metric: Metric) => boolean {
  if (filter.services.length === 0 && filter.metrics.length === 0) return () => true;
  const services = remember((name) => matches(filter.services, name));
  const metrics = remember((name) => matches(filter.metrics, name));
  return (writer, metric) => services(writer.serviceName) && metrics(metric.definition.name);
}

function remember(test: (name: string) => boolean): (name: string) => boolean {
  const known = new Map<string, boolean>();
  return (name) => {
    let answer = known.get(name);
    if (answer === undefined) {
      answer = test(name);
      known.set(name, answer);
    }
    return answer;
  };
}
