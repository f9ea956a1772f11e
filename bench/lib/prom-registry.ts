// The peer's registry: the counters of a shape's services, in one process.

import { Counter, Registry } from "prom-client";

export interface PromShape {
  services: number;
  metrics: number;
}

export function promRegistry({ services, metrics }: PromShape): Registry {
  const registry = new Registry();
  for (let metric = 0; metric < metrics; metric++) {
    const counter = new Counter({
      name: `metric_${metric}_total`,
      help: `metric ${metric}`,
      labelNames: ["service"],
      registers: [registry],
    });
    for (let service = 0; service < services; service++) {
      counter.inc({ service: `service_${service}` }, metric + service / 1000);
    }
  }
  return registry;
}
