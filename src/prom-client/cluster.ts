// Metrics of all workers of a node:cluster, added up in the primary. The messages are prom-client's, so that its workers
// and ours understand each other.

import type cluster from "node:cluster";
import type { Worker } from "node:cluster";
import { aggregators } from "./aggregators.ts";
import { globalRegistry, PROMETHEUS_CONTENT_TYPE, Registry } from "./registry.ts";
import type { MetricData } from "./registry-text.ts";

const REQUEST = "prom-client:getMetricsReq";
const RESPONSE = "prom-client:getMetricsRes";
const TIMEOUT_MS = 5_000;

interface Message {
  type: string;
  requestId: number;
  metrics?: MetricData[][];
  error?: string;
}

/** A request that waits for its workers. */
interface Pending {
  responses: MetricData[][];
  missing: number;
  timer: Timer;
  resolve(text: string | Promise<string>): void;
  reject(error: Error): void;
}

let registries: readonly Registry[] = [globalRegistry];
let nextRequest = 0;
let isListening = false;
const pending = new Map<number, Pending>();

export class AggregatorRegistry extends Registry {
  constructor(contentType = PROMETHEUS_CONTENT_TYPE) {
    super(contentType);
    listen();
  }

  /**
   * The metrics of all workers as text; empty when there are none.
   * @throws Error when a worker fails, or does not answer within five seconds
   */
  clusterMetrics(): Promise<string> {
    return new Promise((resolve, reject) => {
      const requestId = nextRequest++;
      const workers = Object.values(loadCluster().workers ?? {}).filter((worker) =>
        // One that has ended abruptly may be in the list still.
        worker?.isConnected(),
      );
      if (workers.length === 0) {
        process.nextTick(resolve, "");
        return;
      }
      const timer = setTimeout(() => {
        pending.delete(requestId);
        reject(new Error("Operation timed out."));
      }, TIMEOUT_MS);
      pending.set(requestId, { responses: [], missing: workers.length, timer, resolve, reject });
      for (const worker of workers) worker!.send({ type: REQUEST, requestId });
    });
  }

  /**
   * A registry of the metrics of several `getMetricsAsJSON()`, put together as their aggregators say.
   * @throws Error for an aggregator that does not exist
   */
  static aggregate(
    metricsOfAll: readonly (readonly MetricData[])[],
    contentType = PROMETHEUS_CONTENT_TYPE,
  ): Registry {
    const registry = new Registry();
    registry.setContentType(contentType);
    for (const [, metrics] of Map.groupBy(metricsOfAll.flat(), ({ name }) => name)) {
      const name = metrics[0]!.aggregator as keyof typeof aggregators;
      const aggregate = aggregators[name];
      if (typeof aggregate !== "function") {
        throw new Error(`'${name}' is not a defined aggregator.`);
      }
      const metric = aggregate(metrics);
      if (metric !== undefined) registry.registerMetric({ get: () => metric, ...metric });
    }
    return registry;
  }

  /**
   * What a worker answers with, instead of the global registry.
   * @throws TypeError for what is no registry
   */
  static setRegistries(given: Registry | readonly Registry[]): void {
    const list = Array.isArray(given) ? (given as Registry[]) : [given as Registry];
    for (const registry of list) {
      if (!(registry instanceof Registry)) {
        throw new TypeError(`Expected Registry, got ${typeof registry}`);
      }
    }
    registries = list;
  }
}

/** Only when it is wanted: loading it tells some servers that they are to be clustered. */
function loadCluster(): typeof cluster {
  return process.getBuiltinModule("node:cluster") as unknown as typeof cluster;
}

function listen(): void {
  if (isListening) return;
  isListening = true;
  const cluster = loadCluster();
  if (cluster.isPrimary) {
    cluster.on("message", (_worker: Worker, message: Message) => {
      if (message.type === RESPONSE) receive(message);
    });
  }
  if (cluster.isWorker) {
    process.on("message", (message: Message) => {
      if (message.type === REQUEST) void answer(message.requestId);
    });
  }
}

/** In the primary. */
function receive({ requestId, metrics = [], error }: Message): void {
  const request = pending.get(requestId);
  if (request === undefined) return;
  request.responses.push(...metrics);
  request.missing--;
  if (request.missing > 0 && error === undefined) return;
  pending.delete(requestId);
  clearTimeout(request.timer);
  if (error !== undefined) {
    request.reject(new Error(error));
    return;
  }
  try {
    request.resolve(AggregatorRegistry.aggregate(request.responses).metrics());
  } catch (failure) {
    request.reject(failure as Error);
  }
}

/** In a worker. */
async function answer(requestId: number): Promise<void> {
  try {
    const metrics = await Promise.all(registries.map((registry) => registry.getMetricsAsJSON()));
    process.send!({ type: RESPONSE, requestId, metrics });
  } catch (error) {
    process.send!({ type: RESPONSE, requestId, error: (error as Error).message });
  }
}
