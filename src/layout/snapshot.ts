// From raw pages to values: which pages a reader fetches, and the sums over their writers.
// Used by the collector on what a transport brought, and by the agent and inspect on mapped memory.

import { PAGE_BYTES, PAGE_HEADER_SLOTS, SLOTS_PER_PAGE_STRIDE } from "./constants.ts";
import type { Directory, Metric, Run, Writer } from "./directory.ts";

/** Pages in a row. */
export interface PageRange {
  first: number;
  count: number;
}

/** What to fetch for a snapshot, and where each page comes to lie. */
export interface ReadPlan {
  /** Ascending, not overlapping, as few as the pages in use allow. */
  ranges: PageRange[];
  pageCount: number;
  /** Position in the snapshot's buffer, in pages, by page index; -1 for a page that is not fetched. */
  position: Int32Array;
  /** What the plan was made for. */
  directory: Directory;
}

/**
 * Plans the fewest contiguous reads that bring every page some writer is bound to.
 * @param wanted leaves out writers or metrics that the reader does not care for
 */
export function planRead(
  directory: Directory,
  wanted: (writer: Writer, metric: Metric) => boolean = () => true,
): ReadPlan {
  let highest = -1;
  const used = new Uint8Array(directory.pageCapacity);
  for (const writer of directory.writers.values()) {
    for (const run of writer.runs) {
      if (!wanted(writer, run.metric)) continue;
      used[run.page] = 1;
      if (run.page > highest) highest = run.page;
    }
  }
  const position = new Int32Array(highest + 1).fill(-1);
  const ranges: PageRange[] = [];
  let pageCount = 0;
  for (let page = 0; page <= highest; page++) {
    if (used[page] === 0) continue;
    position[page] = pageCount++;
    const last = ranges.at(-1);
    if (last !== undefined && last.first + last.count === page) last.count++;
    else ranges.push({ first: page, count: 1 });
  }
  return { ranges, pageCount, position, directory };
}

/** A plan for memory that is mapped whole: every page is where it is, and nothing has to be fetched. */
export function mappedPlan(directory: Directory): ReadPlan {
  const { ranges, pageCount, position } = planRead(directory);
  for (let page = 0; page < position.length; page++) {
    if (position[page] !== -1) position[page] = page;
  }
  return { ranges, pageCount, position, directory };
}

/** Bytes of the buffer that a plan's pages fill. */
export function planBytes(plan: ReadPlan): number {
  return plan.pageCount * PAGE_BYTES;
}

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
  readonly #sums: Step[] = [];
  readonly #others: { run: Run; source: number }[] = [];
  readonly #counts: Uint32Array;
  /** Gauges that nobody holds any more: they have expired. */
  readonly #absent: Step[] = [];

  constructor(plan: ReadPlan) {
    const held = new Uint8Array(plan.directory.valueCount);
    for (const writer of plan.directory.writers.values()) {
      for (const run of writer.runs) {
        const position = plan.position[run.page] ?? -1;
        if (position < 0) continue;
        const source = position * SLOTS_PER_PAGE_STRIDE + PAGE_HEADER_SLOTS + run.slot;
        held.fill(1, run.valueIndex, run.valueIndex + run.count * run.metric.slots);
        if (run.metric.definition.combine === "sum") {
          this.#addSum(source, run.valueIndex, run.count * run.metric.slots);
        } else {
          this.#others.push({ run, source });
        }
      }
    }
    this.#findAbsent(plan.directory, held);
    this.#counts = new Uint32Array(this.#others.some(isMean) ? plan.directory.valueCount : 0);
  }

  /**
   * @param slots the snapshot's pages, as 512 slots each with their headers
   * @param values receives one number per value of the directory; absent gauges are NaN
   */
  into(slots: Float64Array, values: Float64Array): void {
    values.fill(0);
    for (const { source, target, length } of this.#sums) {
      for (let i = 0; i < length; i++) values[target + i]! += slots[source + i]!;
    }
    for (const { target, length } of this.#absent) values.fill(Number.NaN, target, target + length);
    if (this.#others.length > 0) this.#combine(slots, values);
  }

  #findAbsent(directory: Directory, held: Uint8Array): void {
    for (const metric of directory.metrics.values()) {
      if (metric.definition.kind !== "gauge") continue;
      for (const series of metric.series) {
        const target = directory.valueIndexOf(series);
        if (target < 0 || held[target] === 1) continue;
        this.#absent.push({ source: -1, target, length: metric.slots });
      }
    }
  }

  #addSum(source: number, target: number, length: number): void {
    const last = this.#sums.at(-1);
    if (last && last.source + last.length === source && last.target + last.length === target) {
      last.length += length;
    } else {
      this.#sums.push({ source, target, length });
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

function isMean({ run }: { run: Run }): boolean {
  return run.metric.definition.combine === "mean";
}

/** Copies what one writer stored of one series out of a snapshot; empty when it does not store it. */
export function writerValues(
  plan: ReadPlan,
  slots: Float64Array,
  writer: Writer,
  series: number,
): Float64Array {
  const place = plan.directory.find(writer, series);
  const position = place === undefined ? -1 : (plan.position[place.page] ?? -1);
  if (place === undefined || position < 0) return new Float64Array();
  const start = position * SLOTS_PER_PAGE_STRIDE + PAGE_HEADER_SLOTS + place.slot;
  return slots.slice(start, start + (plan.directory.metricOf(series)?.slots ?? 0));
}

/** One read of a pool: what a collector yields and a sink takes. */
export interface PoolSnapshot {
  /** The agent it came from, as it was named: `host:port`, or "local". */
  source: string;
  app: string;
  /** Counts the snapshots of this pool, from 1. */
  sequence: number;
  /** Unix time of the read's start, in ms with a fraction. */
  takenAtMs: number;
  /** The same moment on the collector's monotonic clock, for differences. */
  monotonicNs: number;
  /** How long the read took. */
  readMs: number;
  /** How late the read started after its deadline. */
  latenessMs: number;
  /** Deadlines that passed without a snapshot since the one before this. */
  missed: number;
  /** Why snapshots are missing before this one, when the agent was away. */
  gap: string | undefined;
  generation: number;
  directory: Directory;
  plan: ReadPlan;
  /** The raw pages, as the plan lays them out. */
  slots: Float64Array;
  /** Values per series, added up over writers: see {@link Gather} and {@link Directory.valueIndexOf}. NaN is absent. */
  values: Float64Array;
}
