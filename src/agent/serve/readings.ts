// How the agent reads its own pools: for /metrics, and for whoever takes snapshots of them. It alone changes the
// structure, so nothing moves while it reads; no generation has to be compared.

import { type ExposedPool, WriterValues } from "../../exposition/index.ts";
import { monotonicNs, unixMs } from "../../ffi/index.ts";
import { type Directory, Gather, mappedPlan, type PoolSnapshot } from "../../layout/index.ts";
import type { Application } from "../registry/application.ts";

/** How an application's values are found, for one state of its structure. */
class Reading {
  readonly #length: number;
  readonly #plan;
  readonly #gather: Gather;
  #writers: WriterValues | undefined;

  constructor(readonly directory: Directory) {
    this.#plan = mappedPlan(directory);
    this.#length = directory.length;
    this.#gather = new Gather(this.#plan);
  }

  fits(directory: Directory): boolean {
    return directory === this.directory && directory.length === this.#length;
  }

  /** The values now; afterwards they are apart from the pool. */
  of(application: Application, perWriter: boolean): ExposedPool {
    const { directory } = this;
    const app = application.name;
    if (perWriter) {
      this.#writers ??= new WriterValues(this.#plan);
      const { parts } = this.#writers;
      return { app, directory, parts, values: this.#writers.of(pageSlots(application)) };
    }
    return { app, directory, values: this.#sums(application) };
  }

  snapshot(application: Application, source: string, sequence: number): PoolSnapshot {
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
      directory: this.directory,
      plan: this.#plan,
      slots: pageSlots(application),
      values,
    };
  }

  #sums(application: Application): Float64Array {
    const values = new Float64Array(this.directory.valueCount);
    this.#gather.into(pageSlots(application), values);
    return values;
  }
}

/** Readings of an agent's applications, each made anew when its structure has changed. */
export class Readings {
  readonly #known = new WeakMap<Application, Reading>();
  readonly #sequences = new WeakMap<Application, number>();

  exposed(application: Application, perWriter: boolean): ExposedPool {
    return this.#of(application).of(application, perWriter);
  }

  /** A snapshot now. Its slots are the pool itself, which goes on: who wants them takes them at once. */
  snapshot(application: Application, source: string): PoolSnapshot {
    const sequence = (this.#sequences.get(application) ?? 0) + 1;
    this.#sequences.set(application, sequence);
    return this.#of(application).snapshot(application, source, sequence);
  }

  #of(application: Application): Reading {
    const { directory } = application;
    let reading = this.#known.get(application);
    if (reading === undefined || !reading.fits(directory)) {
      reading = new Reading(directory);
      this.#known.set(application, reading);
    }
    return reading;
  }
}

/** The slots of all pages, as {@link mappedPlan} lays them out. */
function pageSlots({ pool }: Application): Float64Array {
  return pool.slots.subarray(pool.header.pagesOffset / 8);
}
