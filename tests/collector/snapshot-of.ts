// A snapshot of an application in this process, as a collector would deliver it.

import type { Application } from "../../src/agent/registry/application.ts";
import { Gather, type PoolSnapshot, Structures } from "../../src/layout/index.ts";

const known = new WeakMap<Application, Structures>();

/** Structures of an application follow each other: what has not changed is the same object. */
function structuresOf(app: Application): Structures {
  const structures = known.get(app) ?? new Structures({ isMapped: true });
  known.set(app, structures);
  return structures;
}

export function takeSnapshot(app: Application, some: Partial<PoolSnapshot> = {}): PoolSnapshot {
  const { pool, directory } = app;
  const structure = structuresOf(app).of(directory);
  const slots = pool.slots.subarray(pool.header.pagesOffset / 8);
  const values = new Float64Array(structure.valueCount);
  new Gather(structure).into(slots, values);
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
    structure,
    slots: { kind: "copy", data: slots },
    values,
    ...some,
  };
}
