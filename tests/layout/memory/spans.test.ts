// Ranges against the simplest model: an array with the owner of each integer.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Spans } from "../../../src/layout/memory/spans.ts";

const SIZE = 4000;

const step = fc.record({
  kind: fc.constantFrom("add", "add", "add", "clear"),
  start: fc.nat(SIZE - 1),
  length: fc.integer({ min: 1, max: 12 }),
  value: fc.nat(2),
});

test("know the owner of each integer after any additions and removals", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 3000, size: "max" }), (steps) => {
      const spans = new Spans<number>();
      const model: (number | undefined)[] = new Array(SIZE + 12).fill(undefined);
      for (const { kind, start, length, value } of steps) {
        const end = start + length;
        if (kind === "clear") {
          spans.clear(start, end);
          model.fill(undefined, start, end);
          continue;
        }
        const isFree = model.slice(start, end).every((each) => each === undefined);
        if (spans.add(start, end, value) !== isFree) throw new Error(`${start} to ${end}`);
        if (isFree) model.fill(value, start, end);
      }
      for (let i = 0; i < model.length; i++) {
        if (spans.at(i)?.value !== model[i]) throw new Error(`at ${i}`);
      }
    }),
    { numRuns: 60 },
  );
});

test("take as long for each of very many, whatever the order", () => {
  const orders: Record<string, (i: number) => number> = {
    ascending: (i) => i,
    descending: (i) => 1e6 - i,
    mixed: (i) => (i * 7919) % 1_000_003,
  };
  for (const [order, of] of Object.entries(orders)) {
    const time = (count: number) => {
      const spans = new Spans<object>();
      const { user, system } = process.cpuUsage();
      for (let i = 0; i < count; i++) spans.add(of(i) * 4, of(i) * 4 + 2, spans);
      for (let i = 0; i < count; i++) spans.clear(of(i) * 4, of(i) * 4 + 4);
      const used = process.cpuUsage({ user, system });
      return used.user + used.system;
    };
    const least = (count: number) => Math.min(...[1, 2, 3].map(() => time(count)));
    // Quadratic would be 64 times as long.
    const ratio = least(160_000) / least(20_000);
    expect({ order, isLinear: ratio < 40 }).toEqual({ order, isLinear: true });
  }
});
