// The default metrics of a process, under prom-client's names.

import { isObject } from "../labels.ts";
import { type DefaultMetricsConfiguration, Maker } from "./gauges.ts";
import {
  osMemoryHeap,
  processCpuTotal,
  processMaxFileDescriptors,
  processOpenFileDescriptors,
  processStartTime,
} from "./process.ts";
import {
  eventLoopLag,
  gc,
  heapSizeAndUsed,
  heapSpacesSizeAndUsed,
  processHandles,
  processRequests,
  processResources,
  version,
} from "./runtime.ts";

const METRICS = {
  processCpuTotal,
  processStartTime,
  osMemoryHeap,
  processOpenFileDescriptors,
  processMaxFileDescriptors,
  eventLoopLag,
  processResources,
  processHandles,
  processRequests,
  heapSizeAndUsed,
  heapSpacesSizeAndUsed,
  version,
  gc,
};

/**
 * Makes the default metrics, which are brought up to date whenever they are asked for.
 * @throws TypeError for a configuration that is no object
 */
export function collectDefaultMetrics(config?: DefaultMetricsConfiguration | null): void {
  if (config !== null && config !== undefined && !isObject(config)) {
    throw new TypeError("config must be null, undefined, or an object");
  }
  const maker = new Maker({ ...config });
  for (const make of Object.values(METRICS)) make(maker);
}

/** What there is. */
collectDefaultMetrics.metricsList = Object.keys(METRICS);
