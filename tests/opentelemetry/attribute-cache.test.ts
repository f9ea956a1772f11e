// The cache on the hot path: it gives what was put for the same attributes, and nothing else ever.

import { expect, test } from "bun:test";
import type { Attributes } from "@opentelemetry/api";
import fc from "fast-check";
import { AttributeCache } from "../../src/opentelemetry/attribute-cache.ts";

const value = fc.oneof(
  fc.constantFrom<unknown>("a", "b", "1", "", 1, 0, -0, true, null, undefined, Number.NaN),
  fc.constantFrom<unknown>("a").map((text) => [text]),
);
const attributes = fc
  .uniqueArray(fc.tuple(fc.constantFrom("a", "b", "c", "0", "1"), value), {
    selector: ([key]) => key,
    maxLength: 4,
  })
  .map((pairs) => Object.fromEntries(pairs) as Attributes);

/** The same for what a cache may take for the same: keys and values in the order of the object. */
function identityOf(given: Attributes): string {
  const pairs = Object.entries(given).map(([key, each]) => [key, typeof each, String(each)]);
  return JSON.stringify(pairs);
}

test("gives what was put for the same keys and values, however many shapes there are", () => {
  fc.assert(
    fc.property(
      fc.array(attributes, { maxLength: 60 }),
      fc.integer({ min: 1, max: 40 }),
      (calls, max) => {
        const cache = new AttributeCache<{ of: string }>(max);
        const put = new Set<string>();
        let entries = 0;
        for (const given of calls) {
          const of = identityOf(given);
          const found = cache.get(given);
          if (found !== undefined) {
            expect(found.of).toBe(of);
            continue;
          }
          const isMutable = Object.values(given).some(Array.isArray);
          // It may forget when it is full, and then alone.
          if (put.has(of) && !isMutable) expect(entries).toBeGreaterThanOrEqual(max);
          cache.put(given, { of });
          if (!isMutable) {
            put.add(of);
            entries++;
          }
        }
      },
    ),
  );
});

test("looks at what an object is now, not at which it is", () => {
  const cache = new AttributeCache<{ n: number }>(100);
  const kept: Attributes = { a: "1" };
  cache.put(kept, { n: 1 });
  expect(cache.get(kept)?.n).toBe(1);
  kept["a"] = "2";
  expect(cache.get(kept)).toBeUndefined();
  kept["a"] = "1";
  kept["b"] = "x";
  expect(cache.get(kept)).toBeUndefined();
});

test("keeps so many entries and no more", () => {
  const cache = new AttributeCache<{ i: number }>(10);
  let hits = 0;
  for (let i = 0; i < 1000; i++) cache.put({ [`k${i}`]: i }, { i });
  for (let i = 0; i < 1000; i++) if (cache.get({ [`k${i}`]: i }) !== undefined) hits++;
  expect(hits).toBeLessThan(10);
});
