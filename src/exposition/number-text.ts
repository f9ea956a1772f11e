// Numbers as text, written straight into bytes: an exposition is mostly numbers, and a string for each would be garbage.
// What is written is what `String` says (the shortest text that reads back as the same double), infinities as Prometheus
// spells them.

/** Bytes that {@link writeNumber} writes at most; the longest double is -2.2250738585072014e-308. */
export const NUMBER_BYTES_MAX = 32;

const ZERO = 48;
const POINT = 46;
const MINUS = 45;

/** Up to here every decimal has digits to spare: two of at most 15 digits are never the same double. */
const FIFTEEN_DIGITS = 1e15;

/**
 * Writes a number as text.
 * @param out has room for {@link NUMBER_BYTES_MAX} bytes
 * @returns where the text ends
 */
export function writeNumber(out: Uint8Array, at: number, value: number): number {
  // −0 is written as 0, as `String` does.
  if (value === (value | 0)) {
    if (value >= 0) return writeSmall(out, at, value | 0);
    out[at] = MINUS;
    return writeWhole(out, at + 1, -value);
  }
  const size = Math.abs(value);
  // Also false for NaN and the infinities.
  if (!(size < FIFTEEN_DIGITS)) return writeText(out, at, nameOf(value));
  let next = at;
  if (value < 0) out[next++] = MINUS;
  if (size === Math.floor(size)) return writeWhole(out, next, size);
  // A decimal of at most 15 digits that reads back as the same double is the shortest text of it.
  let scaled = Math.round(size * 1e3);
  if (scaled < FIFTEEN_DIGITS && scaled / 1e3 === size) {
    return writeFraction(out, next, size, scaled, 1e3, 3);
  }
  scaled = Math.round(size * 1e6);
  if (scaled < FIFTEEN_DIGITS && scaled / 1e6 === size) {
    return writeFraction(out, next, size, scaled, 1e6, 6);
  }
  return writeText(out, at, String(value));
}

function nameOf(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}

/** An integer from 0 to 2³¹ − 1. */
function writeSmall(out: Uint8Array, at: number, value: number): number {
  let end = at + 1;
  for (let bound = 10; value >= bound && end - at < 10; bound *= 10) end++;
  writeDigits(out, at, end, value);
  return end;
}

/** An integer from 0 to 10¹⁵. */
function writeWhole(out: Uint8Array, at: number, value: number): number {
  if (value < 1e9) return writeSmall(out, at, value | 0);
  const high = Math.floor(value / 1e9);
  const next = writeSmall(out, at, high | 0);
  writeDigits(out, next, next + 9, (value - high * 1e9) | 0);
  return next + 9;
}

function writeFraction(
  out: Uint8Array,
  at: number,
  size: number,
  scaled: number,
  scale: number,
  digits: number,
): number {
  const whole = Math.floor(size);
  const next = writeWhole(out, at, whole);
  out[next] = POINT;
  let end = next + 1 + digits;
  writeDigits(out, next + 1, end, (scaled - whole * scale) | 0);
  while (out[end - 1] === ZERO) end--;
  return end;
}

/** All places from `start` to `end`, with zeros in front. */
function writeDigits(out: Uint8Array, start: number, end: number, value: number): void {
  let rest = value | 0;
  for (let i = end - 1; i >= start; i--) {
    const tenth = (rest / 10) | 0;
    out[i] = ZERO + rest - tenth * 10;
    rest = tenth;
  }
}

/** ASCII only. */
function writeText(out: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i);
  return at + text.length;
}
