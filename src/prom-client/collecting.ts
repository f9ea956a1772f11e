// Calls `collect()` of metrics at intervals, for who reads the pool: nobody else asks for values there.
// Only when configured, and only while there is an agent to share with.

import { microview, sharingOptions, warn } from "./sharing.ts";

interface Collectable {
  name: string;
  collect?: () => void | Promise<void>;
}

const metrics = new Set<WeakRef<Collectable>>();
let timer: Timer | undefined;

/** Takes care of a metric from now on, for as long as it is used. */
export function collectAtIntervals(metric: Collectable): void {
  const { collectIntervalMs } = sharingOptions();
  if (collectIntervalMs === undefined) return;
  metrics.add(new WeakRef(metric));
  if (timer !== undefined) return;
  timer = setInterval(() => void collectAll(), collectIntervalMs);
  timer.unref();
}

async function collectAll(): Promise<void> {
  if (microview()?.attached !== true) return;
  for (const reference of metrics) {
    const metric = reference.deref();
    if (metric === undefined) {
      metrics.delete(reference);
      continue;
    }
    try {
      await metric.collect?.();
    } catch (error) {
      warn(`collect() of ${metric.name} failed: ${(error as Error).message}`, "");
    }
  }
}
