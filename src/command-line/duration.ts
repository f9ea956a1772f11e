// Durations as people type them: `1ms`, `10s`, `1.5h`. A bare number is refused, because whether
// it means seconds or milliseconds is anyone's guess.

import { UsageError } from "./errors.ts";

const MILLISECONDS_PER_UNIT: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const UNITS = "us, ms, s, m, h or d";

/**
 * Parses a duration such as `1ms`, `10s`, `5m`.
 *
 * @param text what was typed
 * @param label how the error names it, e.g. `--interval`
 * @returns milliseconds, with a fraction for `us`
 * @throws UsageError when it is not a positive number with a unit, or zero
 */
export function parseDurationMs(text: string, label: string): number {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*([a-zµμ]*)$/i.exec(text.trim());
  if (!match) {
    throw new UsageError(
      `${label} is not a duration: '${text}'`,
      `write a number and a unit (${UNITS}), e.g. 10s`,
    );
  }
  const [, digits = "", unitText = ""] = match;
  const unit = unitText.toLowerCase().replace(/^[µμ]s$/, "us");
  if (unit === "") {
    throw new UsageError(
      `${label} needs a unit: '${text}'`,
      Number(digits) === 0
        ? `write a number above zero and a unit (${UNITS}), e.g. 10s`
        : `write ${digits}ms, ${digits}s or ${digits}m (units: ${UNITS})`,
    );
  }
  const scale = Object.hasOwn(MILLISECONDS_PER_UNIT, unit)
    ? MILLISECONDS_PER_UNIT[unit]
    : undefined;
  if (scale === undefined) {
    throw new UsageError(`${label} has an unknown unit: '${text}'`, `units are ${UNITS}`);
  }
  const durationMs = Number(digits) * scale;
  if (!Number.isFinite(durationMs) || durationMs <= 0) {
    throw new UsageError(`${label} must be longer than zero: '${text}'`);
  }
  return durationMs;
}

/** The shortest exact way to write a duration, e.g. 1500 → `1.5s`. For messages and help. */
export function formatDurationMs(durationMs: number): string {
  if (durationMs < 1) return `${Number((durationMs * 1000).toFixed(3))}us`;
  for (const unit of ["d", "h", "m", "s"]) {
    const amount = durationMs / MILLISECONDS_PER_UNIT[unit]!;
    if (amount >= 1 && Number.isInteger(amount * 10)) return `${amount}${unit}`;
  }
  return `${Number(durationMs.toFixed(3))}ms`;
}
