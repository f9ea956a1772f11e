// From raw pages to values: which pages a reader fetches, and the sums over their writers.
// Used by the collector on what a transport brought, and by the agent and inspect on mapped memory.

import { PAGE_HEADER_SLOTS, SLOT_BYTES, SLOTS_PER_PAGE_STRIDE } from "./constants.ts";
import type { Directory, Metric, Run, Writer } from "./directory.ts";

/** Slots in a row, counted from the start of the first page: page p begins at p · 512, its slot 0 at p · 512 + 8. */
export interface SlotRange {
  first: number;
  count: number;
}

/** What to fetch for a snapshot, and where each page comes to lie. */
export interface ReadPlan {
  /** Ascending, not overlapping: what is bound, and small gaps between. */
  ranges: SlotRange[];
  /** Slots of all ranges together, which is what a snapshot holds. */
  slotCount: number;
  /**
   * Where a page begins among the snapshot's slots, by page index, or {@link NOT_READ}. Its slot s is at
   * `base + 8 + s`; the page's own beginning need not have been fetched, so a base may be negative.
   */
  base: Int32Array;
  /** What the plan was made for. */
  directory: Directory;
}

/** The base of a page that a plan does not fetch. */
export const NOT_READ = -0x8000_0000;

/**
 * A gap between bound slots that is read along rather than cut out. Another range costs its request and its handling;
 * reading 32 slots for nothing adds at most a sixteenth to a page.
 */
export const MERGE_GAP_SLOTS = 32;

/**
 * Plans the reads that bring every slot some writer is bound to.
 * @param wanted leaves out writers or metrics that the reader does not care for
 * @param mergeGapSlots gaps up to this are read along: fewer, longer reads
 */
export function planRead(
  directory: Directory,
  wanted: (writer: Writer, metric: Metric) => boolean = () => true,
  mergeGapSlots = MERGE_GAP_SLOTS,
): ReadPlan {
  const { pageCapacity } = directory;
  // First and last bound slot of each page; none while the end is 0.
  const first = new Uint16Array(pageCapacity);
  const end = new Uint16Array(pageCapacity);
  let highest = -1;
  for (const writer of directory.writers.values()) {
    for (const run of writer.runs) {
      if (!wanted(writer, run.metric)) continue;
      const { page, slot } = run;
      if (end[page] === 0 || slot < first[page]!) first[page] = slot;
      end[page] = Math.max(end[page]!, slot + run.count * run.metric.slots);
      if (page > highest) highest = page;
    }
  }
  const base = new Int32Array(highest + 1).fill(NOT_READ);
  const ranges: SlotRange[] = [];
  let slotCount = 0;
  for (let page = 0; page <= highest; page++) {
    if (end[page] === 0) continue;
    const start = page * SLOTS_PER_PAGE_STRIDE;
    const from = start + PAGE_HEADER_SLOTS + first[page]!;
    const to = start + PAGE_HEADER_SLOTS + end[page]!;
    const last = ranges.at(-1);
    const gap = last === undefined ? Number.POSITIVE_INFINITY : from - (last.first + last.count);
    if (last !== undefined && gap <= mergeGapSlots) {
      slotCount += gap;
      last.count = to - last.first;
    } else {
      ranges.push({ first: from, count: to - from });
    }
    base[page] = slotCount - (from - start);
    slotCount += to - from;
  }
  return { ranges, slotCount, base, directory };
}

/** A plan for memory that is mapped whole: every page is where it is, and nothing has to be fetched. */
export function mappedPlan(directory: Directory): ReadPlan {
  const plan = planRead(directory);
  for (let page = 0; page < plan.base.length; page++) {
    if (plan.base[page] !== NOT_READ) plan.base[page] = page * SLOTS_PER_PAGE_STRIDE;
  }
  return plan;
}

/** Bytes of the buffer that a plan's slots fill. */
export function planBytes(plan: ReadPlan): number {
  return plan.slotCount * SLOT_BYTES;
}

/** Index of a slot among a snapshot's, or −1 when the plan does not fetch its page. */
export function snapshotIndex(plan: ReadPlan, page: number, slot: number): number {
  const base = plan.base[page] ?? NOT_READ;
  return base === NOT_READ ? -1 : base + PAGE_HEADER_SLOTS + slot;
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
  /** Values that one writer alone has, or has first: copied. */
  readonly #copies: Step[] = [];
  /** Values that another writer has too: added. */
  readonly #sums: Step[] = [];
  /** Values that nobody has: counters of the dead that never counted, expired gauges. */
  readonly #zeroes: Step[] = [];
  readonly #absent: Step[] = [];
  readonly #others: { run: Run; source: number }[] = [];
  readonly #counts: Uint32Array;

  constructor(plan: ReadPlan) {
    const { directory } = plan;
    const held = new Uint8Array(directory.valueCount);
    for (const writer of directory.writers.values()) {
      for (const run of writer.runs) {
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
    this.#findAbsent(directory, held);
    this.#counts = new Uint32Array(this.#others.some(isMean) ? directory.valueCount : 0);
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

function isMean({ run }: { run: Run }): boolean {
  return run.metric.definition.combine === "mean";
}

/** The source of snapshots of this host's own pools. */
export const LOCAL_SOURCE = "local";

/**
 * A pool's key among those of all agents. The length keeps apart what is spelled alike: a recording may name
 * applications as it likes.
 */
export function poolKey({ source, app }: Pick<PoolSnapshot, "source" | "app">): string {
  return `${app.length} ${app}${source}`;
}

/** One read of a pool: what a collector yields and a sink takes. Nobody changes it; its arrays are used again. */
export interface PoolSnapshot {
  /** The agent it came from, as it was named: `host:port`, or {@link LOCAL_SOURCE}. */
  readonly source: string;
  readonly app: string;
  /** Counts the snapshots of this pool, from 1. */
  readonly sequence: number;
  /** Unix time of the read's start, in ms with a fraction. */
  readonly takenAtMs: number;
  /** The same moment on the collector's monotonic clock, for differences. */
  readonly monotonicNs: number;
  /** How long the read took. */
  readonly readMs: number;
  /** How late the read started after its deadline. */
  readonly latenessMs: number;
  /** Deadlines that passed without a snapshot since the one before this. */
  readonly missed: number;
  /** Why snapshots are missing before this one, when the agent was away. */
  readonly gap: string | undefined;
  readonly generation: number;
  readonly directory: Directory;
  readonly plan: ReadPlan;
  /** The raw slots, as the plan lays them out: see {@link snapshotIndex}. */
  readonly slots: Float64Array;
  /** Values per series, added up over writers: see {@link Gather} and {@link Directory.valueIndexOf}. NaN is absent. */
  readonly values: Float64Array;
}
