// Calls `collect()` of metrics at intervals, for who reads the pool: nobody else asks for values there.
// Only while there is an agent to share with.

import { microview, sharingOptions, warn } from "./sharing.ts";

interface Collectable {
  name: string;
  collect?: () => void | Promise<void>;
}

const INTERVAL_MS = 10_000;
/** What is made as the process starts is shown soon. */
const FIRST_MS = 1_000;

const metrics = new Set<WeakRef<Collectable>>();
let timer: Timer | undefined;
let isCollecting = false;

/** Takes care of a metric from now on, for as long as it is used. */
export function collectAtIntervals(metric: Collectable): void {
  const { collectIntervalMs = INTERVAL_MS } = sharingOptions();
  if (collectIntervalMs <= 0) return;
  metrics.add(new WeakRef(metric));
  if (timer !== undefined) return;
  timer = setInterval(() => void collectAll(), collectIntervalMs);
  timer.unref();
  if (collectIntervalMs > FIRST_MS) setTimeout(() => void collectAll(), FIRST_MS).unref();
}

async function collectAll(): Promise<void> {
  // Who is slower than the interval is not asked again meanwhile.
  if (isCollecting || microview()?.attached !== true) return;
  isCollecting = true;
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
  isCollecting = false;
}
