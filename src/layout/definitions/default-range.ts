// The default range of a log-linear histogram. It follows the unit: the same number is a long time in seconds and a
// short one in milliseconds. Used by the client and the libraries over it.

import { LIMITS } from "../constants.ts";
import { type LogLinearOptions, logLinearShape } from "./histogram.ts";

type Range = Required<LogLinearOptions>;

const NINE_DECADES = 1e9;

function from(min: number, max = min * NINE_DECADES): Range {
  return { min, max, error: 0.0625 };
}

/** A microsecond to a thousand seconds, in each unit of time; 1 byte to a terabyte. */
const RANGES: ReadonlyMap<string, Range> = new Map(
  Object.entries({
    "seconds second s": from(1e-6),
    "milliseconds millisecond ms": from(1e-3),
    "microseconds microsecond us µs μs": from(1),
    "nanoseconds nanosecond ns": from(1e3),
    // From a few milliseconds to many days.
    "minutes minute min": from(1e-4),
    "hours hour h": from(1e-5),
    "days day d": from(1e-6),
    "bytes byte By B": from(1, 1e12),
    "kilobytes kibibytes kBy KBy KiBy kB KiB": from(1e-3),
    "megabytes mebibytes MBy MiBy MB MiB": from(1e-6, 1e6),
    "gigabytes gibibytes GBy GiBy GB GiB": from(1e-9, 1e3),
    "ratio percent percents %": from(1e-6),
  }).flatMap(([units, range]) => units.split(" ").map((unit) => [unit, range] as const)),
);

/** For unknown units: a wider range, in buckets twice as wide. */
export const ANY_RANGE: Range = { min: 1e-6, max: 1e12, error: 0.125 };

const MILLISECONDS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    "milliseconds millisecond ms": 1,
    "microseconds microsecond us µs μs": 1e-3,
    "nanoseconds nanosecond ns": 1e-6,
    "minutes minute min": 60e3,
    "hours hour h": 3600e3,
    "days day d": 86_400e3,
  }).flatMap(([units, factor]) => units.split(" ").map((unit) => [unit, factor] as const)),
);

/** How many milliseconds a unit of time is; 1000 for other units and for none. */
export function millisecondsPer(unit: string): number {
  return MILLISECONDS.get(unit) ?? 1000;
}

/**
 * A log-linear histogram's range and error: as given, and otherwise by its unit; no unit means seconds.
 * With an error so small that a wide range would not fit, it is nine decades from its beginning.
 */
export function logLinearOptions(unit: string, given: LogLinearOptions = {}): Range {
  const usual = unit === "" ? RANGES.get("seconds")! : (RANGES.get(unit) ?? ANY_RANGE);
  const { min = usual.min, max = usual.max, error = usual.error } = given;
  const isGiven = given.min !== undefined || given.max !== undefined;
  if (isGiven || fits({ min, max, error })) return { min, max, error };
  return { min, max: min * NINE_DECADES, error };
}

function fits(range: Range): boolean {
  try {
    return logLinearShape(range).buckets + 3 <= LIMITS.slotsPerSeries;
  } catch {
    return false;
  }
}
