// GET /metrics: the pools of this host as Prometheus text, and as the prototype's registry.

import {
  type ExposedPool,
  expose,
  Gather,
  mappedPlan,
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  SLOTS_PER_PAGE,
} from "../layout/index.ts";
import type { Application } from "./application.ts";

/** The values of an application now. The agent alone changes the structure, so nothing moves meanwhile. */
export function readValues(application: Application): ExposedPool {
  const { pool, directory } = application;
  const plan = mappedPlan(directory);
  const values = new Float64Array(directory.valueCount);
  new Gather(plan).into(pool.slots.subarray(pool.header.pagesOffset / 8), values);
  return { app: application.name, directory, values };
}

/** Prometheus text of all applications, streamed a metric at a time. */
export function exposeAll(applications: Iterable<Application>): ReadableStream<Uint8Array> {
  const text = expose([...applications].map(readValues));
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull(controller) {
      const { value, done } = text.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
  });
}

/** What the prototype answered: pages by microservice. */
export function legacyRegistry(
  applications: Iterable<Application>,
): Record<string, { page_offset: number; num_entries: number; max_metrics: number }> {
  const registry: ReturnType<typeof legacyRegistry> = {};
  for (const { pool, directory } of applications) {
    for (const writer of directory.writers.values()) {
      const grant = writer.grants[0];
      if (writer.retained || grant === undefined) continue;
      const known = registry[writer.serviceName];
      const entries = writer.runs.reduce((sum, run) => sum + run.count, 0);
      registry[writer.serviceName] = {
        page_offset:
          known?.page_offset ??
          pool.header.pagesOffset + grant.page * PAGE_BYTES + PAGE_HEADER_BYTES,
        num_entries: (known?.num_entries ?? 0) + entries,
        max_metrics: SLOTS_PER_PAGE,
      };
    }
  }
  return registry;
}
