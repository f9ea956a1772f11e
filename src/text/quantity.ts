// Numbers as people read them: durations, sizes and counts with three or four digits that matter.

import { printable } from "./printable.ts";

/** Seconds per unit of time, by the names that metrics use. */
const SECONDS: ReadonlyMap<string, number> = new Map([
  ["seconds", 1],
  ["second", 1],
  ["s", 1],
  ["milliseconds", 1e-3],
  ["ms", 1e-3],
  ["microseconds", 1e-6],
  ["us", 1e-6],
  ["µs", 1e-6],
  ["nanoseconds", 1e-9],
  ["ns", 1e-9],
]);

const BYTE_UNITS: ReadonlySet<string> = new Set(["bytes", "byte", "By", "B"]);

const DURATIONS: readonly (readonly [string, number])[] = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
  ["ms", 1e-3],
  ["µs", 1e-6],
  ["ns", 1e-9],
];
const SIZES: readonly (readonly [string, number])[] = [
  ["PiB", 2 ** 50],
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
  ["B", 1],
];
/** Numbers below this are written out. */
const WRITTEN_OUT_BELOW = 1e10;

/**
 * A value in its metric's unit: `98.2 µs`, `1.5 KiB`, `1234`, `12.35G requests`; "" for NaN.
 * @param unit as declared, unsafe
 */
export function formatQuantity(value: number, unit: string): string {
  if (Number.isNaN(value)) return "";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const secondsPerUnit = SECONDS.get(unit);
  if (secondsPerUnit !== undefined) return formatSeconds(value * secondsPerUnit);
  if (BYTE_UNITS.has(unit)) return formatBytes(value);
  const text = formatCount(value);
  return unit === "" ? text : `${text} ${printable(unit)}`;
}

/** `98.2 µs`, `3.40 s`; from 1000 days up in days. */
export function formatSeconds(seconds: number): string {
  return scaled(seconds, DURATIONS);
}

/** `1.50 KiB` */
export function formatBytes(bytes: number): string {
  return scaled(bytes, SIZES);
}

/** `1234567`, `12.35G`, `0.0012` */
export function formatCount(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < WRITTEN_OUT_BELOW) return String(value);
  if (size >= 1e15 || size < 1e-4) return value.toExponential(2);
  if (size < WRITTEN_OUT_BELOW) return digits(value);
  const [suffix, scale] = size >= 1e13 ? ["T", 1e12] : ["G", 1e9];
  return `${digits(value / scale)}${suffix}`;
}

function scaled(value: number, units: readonly (readonly [string, number])[]): string {
  if (!Number.isFinite(value)) return formatQuantity(value, "");
  if (value === 0) return `0 ${units === SIZES ? "B" : "s"}`;
  const size = Math.abs(value);
  const [unit, scale] = units.find(([, least]) => size >= least) ?? units.at(-1)!;
  return size / scale >= WRITTEN_OUT_BELOW
    ? `${(value / scale).toExponential(2)} ${unit}`
    : `${digits(value / scale)} ${unit}`;
}

/** Three digits that matter, none after the point from 1000 up, without zeroes that say nothing. */
function digits(value: number): string {
  const size = Math.abs(value);
  const places = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : size >= 0.01 ? 4 : 6;
  return String(Number(value.toFixed(places)));
}
