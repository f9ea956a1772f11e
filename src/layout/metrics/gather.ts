// The sums of a snapshot's values over writers. Used by the collector on what a transport brought, and by the agent and
// inspect on mapped memory.

import { snapshotIndex } from "../memory/read-plan.ts";
import type { Structure, StructureMetric, StructureRun } from "./structure.ts";

/** One step of a gather: `length` slots from `source` on belong to the values from `target` on. */
interface Step {
  source: number;
  target: number;
  length: number;
}

/**
 * Adds up a snapshot's slots over writers, per series. Made once per structure; `into` runs once per snapshot.
 * Values lie as {@link Directory.valueIndexOf} says: a counter or gauge has one, a histogram its slots.
 */
export class Gather {
  /** Values that one writer alone has, or has first: copied. */
  readonly #copies: Step[] = [];
  /** Values that another writer has too: added. */
  readonly #sums: Step[] = [];
  /** Values that nobody has: counters of the dead that never counted, expired gauges. */
  readonly #zeroes: Step[] = [];
  readonly #absent: Step[] = [];
  readonly #others: { run: StructureRun; source: number }[] = [];
  readonly #counts: Uint32Array;

  constructor({ plan, valueCount, writers, metrics }: Structure) {
    const held = new Uint8Array(valueCount);
    for (const { runs } of writers) {
      for (const run of runs) {
        const source = snapshotIndex(plan, run.page, run.slot);
        if (source < 0) continue;
        const length = run.count * run.metric.slots;
        if (run.metric.definition.combine === "sum")
          this.#addSum(source, run.valueIndex, length, held);
        else this.#others.push({ run, source });
        held.fill(1, run.valueIndex, run.valueIndex + length);
      }
    }
    for (let at = held.indexOf(0); at >= 0; ) {
      const next = held.indexOf(1, at);
      const end = next < 0 ? held.length : next;
      this.#zeroes.push({ source: -1, target: at, length: end - at });
      at = next < 0 ? -1 : held.indexOf(0, next);
    }
    this.#findAbsent(metrics, held);
    this.#counts = new Uint32Array(this.#others.some(isMean) ? valueCount : 0);
  }

  /**
   * @param slots what the plan's ranges brought, one after the other
   * @param values receives one number per value of the directory; absent gauges are NaN
   */
  into(slots: Float64Array, values: Float64Array): void {
    for (const { source, target, length } of this.#copies) {
      // A short piece is copied faster by hand than by a call.
      if (length < 32) copy(slots, source, values, target, length);
      else values.set(slots.subarray(source, source + length), target);
    }
    for (const { source, target, length } of this.#sums) add(slots, source, values, target, length);
    for (const { target, length } of this.#zeroes) values.fill(0, target, target + length);
    for (const { target, length } of this.#absent) values.fill(Number.NaN, target, target + length);
    if (this.#others.length > 0) this.#combine(slots, values);
  }

  /** Copies what nobody has held before, and adds the rest. */
  #addSum(source: number, target: number, length: number, held: Uint8Array): void {
    for (let from = 0; from < length; ) {
      const isHeld = held[target + from] === 1;
      const change = held.indexOf(isHeld ? 0 : 1, target + from) - target;
      const end = change < 0 || change > length ? length : change;
      const steps = isHeld ? this.#sums : this.#copies;
      const step = { source: source + from, target: target + from, length: end - from };
      const last = steps.at(-1);
      if (
        last &&
        last.source + last.length === step.source &&
        last.target + last.length === step.target
      ) {
        last.length += step.length;
      } else {
        steps.push(step);
      }
      from = end;
    }
  }

  #findAbsent(metrics: readonly StructureMetric[], held: Uint8Array): void {
    for (const { metric, indexes } of metrics) {
      if (metric.definition.kind !== "gauge") continue;
      for (const target of indexes) {
        if (held[target] === 0) this.#absent.push({ source: -1, target, length: metric.slots });
      }
    }
  }

  #combine(slots: Float64Array, values: Float64Array): void {
    for (const { run } of this.#others) {
      const end = run.valueIndex + run.count * run.metric.slots;
      values.fill(Number.NaN, run.valueIndex, end);
    }
    this.#counts.fill(0);
    for (const { run, source } of this.#others) {
      const step = run.metric.slots;
      for (let i = 0; i < run.count; i++) {
        const at = source + i * step;
        const value = slots[at]!;
        // A writer that has not set its gauge does not take part.
        if (Number.isNaN(value)) continue;
        const target = run.valueIndex + i * step;
        const known = values[target]!;
        const first = Number.isNaN(known);
        switch (run.metric.definition.combine) {
          case "min":
            if (first || value < known) values[target] = value;
            break;
          case "max":
            if (first || value > known) values[target] = value;
            break;
          case "last": {
            const setAtMs = slots[at + 1]!;
            if (first || setAtMs > values[target + 1]!) {
              values[target] = value;
              values[target + 1] = setAtMs;
            }
            break;
          }
          default: {
            const count = this.#counts[target]! + 1;
            this.#counts[target] = count;
            values[target] = first ? value : known + (value - known) / count;
          }
        }
      }
    }
  }
}

// The hints keep indexes 32-bit integers: without them each is checked for overflow, which doubles the time.
function copy(
  from: Float64Array,
  source: number,
  to: Float64Array,
  target: number,
  length: number,
): void {
  let i = source | 0;
  let j = target | 0;
  const end = (target + length) | 0;
  while (j < end) {
    to[j] = from[i]!;
    i = (i + 1) | 0;
    j = (j + 1) | 0;
  }
}

function add(
  from: Float64Array,
  source: number,
  to: Float64Array,
  target: number,
  length: number,
): void {
  let i = source | 0;
  let j = target | 0;
  const end = (target + length) | 0;
  while (j < end) {
    to[j]! += from[i]!;
    i = (i + 1) | 0;
    j = (j + 1) | 0;
  }
}

function isMean({ run }: { run: StructureRun }): boolean {
  return run.metric.definition.combine === "mean";
}
