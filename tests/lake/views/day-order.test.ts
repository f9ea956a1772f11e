// Rows by day and by time.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { orderByDay } from "../../../src/lake/views/day-order.ts";

const DAY_NS = 86_400_000_000_000n;

function expected(times: readonly bigint[]): { day: string; rows: number[] }[] {
  const rows = [...times.keys()].sort((a, b) =>
    times[a] === times[b] ? a - b : times[a]! < times[b]! ? -1 : 1,
  );
  const days = new Map<string, number[]>();
  for (const row of rows) {
    const time = times[row]!;
    const floor = (time - (((time % DAY_NS) + DAY_NS) % DAY_NS)) / DAY_NS;
    const day = new Date(Number(floor) * 86_400_000).toISOString().slice(0, 10);
    days.set(day, [...(days.get(day) ?? []), row]);
  }
  return [...days].map(([day, each]) => ({ day, rows: each }));
}

function given(times: readonly bigint[]) {
  return orderByDay(BigInt64Array.from(times)).map(({ day, rows }) => ({ day, rows: [...rows] }));
}

test("rows of a day are sorted by time, and the last nanosecond of a day is not the next day's", () => {
  const midnight = 1_796_083_200_000_000_000n;
  const times = [midnight + 5n, midnight - 1n, midnight, midnight + DAY_NS - 1n];
  expect(given(times)).toEqual([
    { day: "2026-11-30", rows: [1] },
    { day: "2026-12-01", rows: [2, 0, 3] },
  ]);
});

test("times of all of history, in any order", () => {
  const near = fc
    .bigInt({ min: 0n, max: 3n * DAY_NS })
    .map((ns) => 1_796_083_200_000_000_000n + ns);
  const any = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: near }, any)), (times) => {
      expect(given(times)).toEqual(expected(times));
    }),
  );
});

test("many rows of few times stay in the order in which they came", () => {
  const times = Array.from({ length: 5_000 }, (_, i) => BigInt((i * 7919) % 97) * 1_000_000_007n);
  expect(given(times)).toEqual(expected(times));
});
