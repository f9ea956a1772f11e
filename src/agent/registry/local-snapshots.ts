// How the agent reads its own pools: for /metrics, and for whoever takes snapshots of them. It alone changes the
// structure, so nothing moves while it reads; no generation has to be compared.

import { type ExposedPool, WriterValues } from "../../exposition/index.ts";
import { monotonicNs, unixMs } from "../../ffi/index.ts";
import {
  Gather,
  type LiveSlots,
  type PoolSnapshot,
  type Structure,
  Structures,
} from "../../layout/index.ts";
import type { Application } from "./application.ts";

/** How an application's values are found, for one state of its structure. */
class Reading {
  readonly #gather: Gather;
  #writers: WriterValues | undefined;

  constructor(readonly structure: Structure) {
    this.#gather = new Gather(structure);
  }

  /** The values now; afterwards they are apart from the pool. */
  of(application: Application, perWriter: boolean): ExposedPool {
    const { structure } = this;
    const app = application.name;
    if (perWriter) {
      this.#writers ??= new WriterValues(this.structure);
      const { parts } = this.#writers;
      return { app, structure, parts, values: this.#writers.of(pageSlots(application)) };
    }
    return { app, structure, values: this.#sums(application) };
  }

  snapshot(application: Application, source: string, sequence: number): PoolSnapshot<LiveSlots> {
    const takenAtMs = unixMs();
    const startNs = monotonicNs();
    const values = this.#sums(application);
    return {
      source,
      app: application.name,
      sequence,
      takenAtMs,
      monotonicNs: startNs,
      readMs: (monotonicNs() - startNs) / 1e6,
      latenessMs: 0,
      missed: 0,
      gap: undefined,
      generation: application.pool.generation,
      structure: this.structure,
      slots: { kind: "live", data: pageSlots(application) },
      values,
    };
  }

  #sums(application: Application): Float64Array {
    const values = new Float64Array(this.structure.valueCount);
    this.#gather.into(pageSlots(application), values);
    return values;
  }
}

/** Reads the pools of an agent's applications. What a reading needs is prepared again only when a structure has changed. */
export class LocalSnapshots {
  readonly #known = new WeakMap<Application, { structures: Structures; reading: Reading }>();
  readonly #sequences = new WeakMap<Application, number>();

  exposed(application: Application, perWriter: boolean): ExposedPool {
    return this.#of(application).of(application, perWriter);
  }

  /** A snapshot now. Its slots are the pool itself, which goes on: who wants them takes them at once. */
  snapshot(application: Application, source: string): PoolSnapshot<LiveSlots> {
    const sequence = (this.#sequences.get(application) ?? 0) + 1;
    this.#sequences.set(application, sequence);
    return this.#of(application).snapshot(application, source, sequence);
  }

  #of(application: Application): Reading {
    let known = this.#known.get(application);
    const structures = known?.structures ?? new Structures({ isMapped: true });
    const structure = structures.of(application.directory);
    if (known?.reading.structure !== structure) {
      known = { structures, reading: new Reading(structure) };
      this.#known.set(application, known);
    }
    return known.reading;
  }
}

/** The slots of all pages, as {@link mappedPlan} lays them out. */
function pageSlots({ pool }: Application): Float64Array {
  return pool.slots.subarray(pool.header.pagesOffset / 8);
}
