// prom-client 15's interface over microview's shared memory. `import { Counter } from "microview/prom-client"`
// Its types are those of types.d.ts, which have to be as prom-client's are; what is here is typed for ourselves.

import { aggregators } from "./aggregators.ts";
import { exponentialBuckets, linearBuckets } from "./buckets.ts";
import { AggregatorRegistry } from "./cluster.ts";
import { Counter } from "./counter.ts";
import { collectDefaultMetrics } from "./default-metrics/index.ts";
import { Gauge } from "./gauge.ts";
import { Histogram } from "./histogram.ts";
import { Pushgateway } from "./pushgateway.ts";
import {
  globalRegistry,
  OPENMETRICS_CONTENT_TYPE,
  PROMETHEUS_CONTENT_TYPE,
  Registry,
} from "./registry.ts";
import { configure, microview } from "./sharing.ts";
import { Summary } from "./summary.ts";
import { validateMetricName } from "./validation.ts";

/** All of it, as `require` and a default import give it. */
const client = {
  register: globalRegistry,
  Registry,
  /** The default registry's. */
  get contentType(): string {
    return globalRegistry.contentType;
  },
  set contentType(contentType: string) {
    globalRegistry.setContentType(contentType);
  },
  prometheusContentType: PROMETHEUS_CONTENT_TYPE,
  openMetricsContentType: OPENMETRICS_CONTENT_TYPE,
  validateMetricName,
  Counter,
  Gauge,
  Histogram,
  Summary,
  Pushgateway,
  linearBuckets,
  exponentialBuckets,
  collectDefaultMetrics,
  aggregators,
  AggregatorRegistry,
  configure,
  microview,
};

export const { register, contentType, prometheusContentType, openMetricsContentType } = client;
export {
  AggregatorRegistry,
  aggregators,
  Counter,
  client as default,
  client as "module.exports",
  collectDefaultMetrics,
  configure,
  exponentialBuckets,
  Gauge,
  Histogram,
  linearBuckets,
  microview,
  Pushgateway,
  Registry,
  Summary,
  validateMetricName,
};
