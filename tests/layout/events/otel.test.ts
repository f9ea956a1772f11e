// A severity of OpenTelemetry is the level that its data model has for it, for logs recorded and received alike.

import { expect, test } from "bun:test";
import { LEVELS, levelOfSeverity } from "../../../src/layout/index.ts";

test("four severity numbers are one level, from trace to fatal", () => {
  const levels = Array.from({ length: 24 }, (_, i) => LEVELS[levelOfSeverity(i + 1, "error")]);
  expect(levels).toEqual(
    (["trace", "debug", "info", "warn", "error", "fatal"] as const).flatMap((level) =>
      Array.from({ length: 4 }, () => level),
    ),
  );
});

test("without a number that means anything the text says the level, and without both it is info", () => {
  const cases = [
    ...[
      [undefined, "Warning"],
      [0, "FATAL"],
      [25, "debug"],
      [Number.NaN, "error"],
      [0, "notice"],
    ],
    ...[
      [undefined, 7],
      [undefined, undefined],
    ],
  ] as [number | undefined, unknown][];
  expect(cases.map(([severity, text]) => LEVELS[levelOfSeverity(severity, text)])).toEqual([
    ...["warn", "fatal", "debug", "error", "info", "info", "info"],
  ] as never);
});
