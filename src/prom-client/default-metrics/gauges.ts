// What the default metrics have in common: a prefix, labels of their own, and the registry they go to.

import { Gauge } from "../gauge.ts";
import type { Labels } from "../labels.ts";
import type { MetricConfiguration } from "../metric.ts";
import type { Registry } from "../registry.ts";

export interface DefaultMetricsConfiguration {
  register?: Registry;
  prefix?: string;
  /** Labels that each value gets. */
  labels?: Labels;
  gcDurationBuckets?: readonly number[];
  /** Resolution of the event loop's observer, in ms. */
  eventLoopMonitoringPrecision?: number;
  enableExemplars?: boolean;
}

/** Makes metrics under a configuration. */
export class Maker {
  readonly labels: Labels;
  readonly config: DefaultMetricsConfiguration;

  constructor(config: DefaultMetricsConfiguration) {
    this.config = config;
    this.labels = config.labels ?? {};
  }

  /** @param own label names beside those of the configuration */
  options(name: string, help: string, own: readonly string[] = []): MetricConfiguration {
    const { register, prefix = "" } = this.config;
    return {
      name: prefix + name,
      help,
      labelNames: [...own, ...Object.keys(this.labels)],
      ...(register === undefined ? {} : { registers: [register] }),
    };
  }

  gauge(
    name: string,
    help: string,
    more: Pick<MetricConfiguration, "aggregator" | "collect"> = {},
  ): Gauge {
    return new Gauge({ ...this.options(name, help), ...more });
  }

  /** A gauge per type of thing, and one with the number of all. */
  countsByType(
    name: string,
    help: string,
    totalHelp: string,
    types: () => readonly string[],
  ): void {
    const gauge = new Gauge({
      ...this.options(name, help, ["type"]),
      collect: () => {
        gauge.reset();
        for (const [type, of] of Map.groupBy(types(), (each) => each)) {
          gauge.set({ type, ...this.labels }, of.length);
        }
      },
    });
    const total = this.gauge(`${name}_total`, totalHelp, {
      collect: () => total.set(this.labels, types().length),
    });
  }
}
