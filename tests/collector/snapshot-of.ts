// A snapshot of an application in this process, as a collector would deliver it.

import type { Application } from "../../src/agent/registry/application.ts";
import { Gather, mappedPlan, type PoolSnapshot } from "../../src/layout/index.ts";

export function takeSnapshot(app: Application, some: Partial<PoolSnapshot> = {}): PoolSnapshot {
  const { pool, directory } = app;
  const plan = mappedPlan(directory);
  const slots = pool.slots.subarray(pool.header.pagesOffset / 8);
  const values = new Float64Array(directory.valueCount);
  new Gather(plan).into(slots, values);
  return {
    source: "local",
    app: "shop",
    sequence: 1,
    takenAtMs: 0,
    monotonicNs: 0,
    readMs: 0,
    latenessMs: 0,
    missed: 0,
    gap: undefined,
    generation: pool.generation,
    directory,
    plan,
    slots,
    values,
    ...some,
  };
}
