// The notations of `microview replay`.

import { parseDurationMs, UsageError } from "../../command-line/index.ts";

/** A time of a recording: in unix ms, or in ms after its beginning. */
export type Moment = ({ unixMs: number } | { afterMs: number }) & { text: string };

/** @throws UsageError unless it is a date and time, or a duration */
export function parseMoment(text: string, label: string): Moment {
  if (/^\d+(\.\d+)?\s*[a-zµμ]+$/i.test(text)) {
    return { afterMs: parseDurationMs(text, label), text };
  }
  const unixMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(unixMs)) {
    throw new UsageError(
      `${label} is no time: '${text}'`,
      "write 2026-01-31T12:00:00Z, or a duration after the beginning, e.g. 30s",
    );
  }
  return { unixMs, text };
}

/** @throws UsageError unless it is a number above zero, or "max" */
export function parseSpeed(text: string, label: string): number {
  if (text === "max") return Number.POSITIVE_INFINITY;
  const speed = /^\d*\.?\d+$/.test(text) ? Number(text) : 0;
  if (!(speed > 0)) {
    throw new UsageError(`${label} cannot be '${text}'`, "write a number above zero, or max");
  }
  return speed;
}
