// Puts rows in order: by UTC day, for a file has no events of two, and by time within it.

import { DAY_NS, isoDay } from "../times.ts";

/** As a number: rows are too many for a BigInt each. */
const ONE_DAY_NS = Number(DAY_NS);
/** Differences up to here are exact as numbers; the half leaves room for what is added. */
const EXACT = 2 ** 52;
/** Below this a comparison sort is quicker than setting up a radix sort. */
const FEW_ROWS = 512;
const DIGIT_BITS = 16;
const DIGITS = 1 << DIGIT_BITS;

/** Rows of one day, sorted by time; those of the same time are in the order in which they came. */
export interface DayRows {
  /** YYYY-MM-DD */
  day: string;
  rows: Uint32Array;
}

/** @param times Unix time in ns */
export function orderByDay(times: BigInt64Array): DayRows[] {
  const count = times.length;
  if (count === 0) return [];
  const first = floorDay(times[0]!);
  const { days, offsets } = split(times, first);
  const days_ = [...days.entries()].sort(([a], [b]) => a - b);
  return days_.map(([day, rows]) => ({
    day: isoDay(BigInt(first + day) * DAY_NS),
    rows: sorted(rows, offsets),
  }));
}

/** @returns rows by day, counted from the first row's, and each row's time since its day began */
function split(
  times: BigInt64Array,
  firstDay: number,
): { days: Map<number, Uint32Array>; offsets: Float64Array } {
  const count = times.length;
  // A BigInt for each row would take most of the time.
  const words = new Int32Array(times.buffer, times.byteOffset, count * 2);
  const lows = new Uint32Array(times.buffer, times.byteOffset, count * 2);
  const base = new BigInt64Array([BigInt(firstDay) * DAY_NS]);
  const baseHigh = new Int32Array(base.buffer)[1]!;
  const baseLow = new Uint32Array(base.buffer)[0]!;
  const offsets = new Float64Array(count);
  const dayOf = new Int32Array(count);
  const counts = new Map<number, number>();
  let isOneDay = true;
  for (let i = 0; i < count; i++) {
    const since = (words[2 * i + 1]! - baseHigh) * 2 ** 32 + (lows[2 * i]! - baseLow);
    let day: number;
    if (since >= 0 && since < ONE_DAY_NS) {
      offsets[i] = since;
      continue;
    }
    if (since > -EXACT && since < EXACT) {
      day = Math.floor(since / ONE_DAY_NS);
      let offset = since - day * ONE_DAY_NS;
      if (offset < 0) {
        day--;
        offset += ONE_DAY_NS;
      } else if (offset >= ONE_DAY_NS) {
        day++;
        offset -= ONE_DAY_NS;
      }
      offsets[i] = offset;
    } else {
      const absolute = floorDay(times[i]!);
      day = absolute - firstDay;
      offsets[i] = Number(times[i]! - BigInt(absolute) * DAY_NS);
    }
    isOneDay = false;
    dayOf[i] = day;
    counts.set(day, (counts.get(day) ?? 0) + 1);
  }
  if (isOneDay) return { days: new Map([[0, Uint32Array.from(offsets, (_, i) => i)]]), offsets };
  const others = [...counts.values()].reduce((sum, each) => sum + each, 0);
  if (others < count) counts.set(0, count - others);
  const days = new Map([...counts].map(([day, rows]) => [day, new Uint32Array(rows)]));
  const ends = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const day = dayOf[i]!;
    const at = ends.get(day) ?? 0;
    days.get(day)![at] = i;
    ends.set(day, at + 1);
  }
  return { days, offsets };
}

function sorted(rows: Uint32Array, offsets: Float64Array): Uint32Array {
  let isSorted = true;
  for (let i = 1; i < rows.length && isSorted; i++) {
    isSorted = offsets[rows[i - 1]!]! <= offsets[rows[i]!]!;
  }
  if (isSorted) return rows;
  if (rows.length < FEW_ROWS) {
    return rows.sort((a, b) => offsets[a]! - offsets[b]! || a - b);
  }
  // 47 bits of nanoseconds in a day: three digits, the least first.
  let from = rows as Uint32Array<ArrayBufferLike>;
  let to: Uint32Array = new Uint32Array(rows.length);
  const starts = new Uint32Array(DIGITS + 1);
  for (const unit of [1, DIGITS, DIGITS * DIGITS]) {
    starts.fill(0);
    for (let i = 0; i < from.length; i++) starts[digit(offsets[from[i]!]!, unit) + 1]!++;
    for (let i = 0; i < DIGITS; i++) starts[i + 1]! += starts[i]!;
    for (let i = 0; i < from.length; i++) {
      const row = from[i]!;
      to[starts[digit(offsets[row]!, unit)]!++] = row;
    }
    [from, to] = [to, from];
  }
  return from;
}

function digit(value: number, unit: number): number {
  return Math.floor(value / unit) % DIGITS;
}

/** Days since 1970 began. */
function floorDay(ns: bigint): number {
  const day = ns / DAY_NS;
  return Number(ns < 0n && day * DAY_NS !== ns ? day - 1n : day);
}
