// How often somebody may do something, and as whom he is counted.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Buckets, originOf } from "../../src/guard/rate.ts";

describe("buckets", () => {
  test("hold what they hold, fill at their rate, and say when there is one again", () => {
    const buckets = new Buckets(2, 3);
    const taken = () => [1, 2, 3, 4].map(() => buckets.take("a", 1000));
    expect(taken()).toEqual([true, true, true, false]);
    expect([buckets.has("a", 1000), buckets.has("b", 1000)]).toEqual([false, true]);
    expect(buckets.waitS("a", 1000)).toBe(1);
    expect(buckets.take("a", 1499)).toBe(false);
    expect(buckets.take("a", 1501)).toBe(true);
    expect([1, 2, 3, 4].map(() => buckets.take("a", 1e9))).toEqual([true, true, true, false]);
    // A clock that goes back gives nothing.
    expect(buckets.take("a", 0)).toBe(false);
  });

  test("never give more than their burst and their rate together", () => {
    const steps = fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 9 }),
        (waits, rate, burst) => {
          const buckets = new Buckets(rate, burst);
          let nowMs = 0;
          let given = 0;
          for (const wait of waits) {
            nowMs += wait;
            if (buckets.take("a", nowMs)) given++;
          }
          expect(given).toBeLessThanOrEqual(burst + (nowMs / 1000) * rate + 1e-6);
        },
      ),
    );
  });

  test("of any number of names take bounded memory", () => {
    const buckets = new Buckets(1, 1);
    for (let i = 0; i < 10_000; i++) buckets.take(`name ${i}`, i);
    expect(buckets.size).toBeLessThanOrEqual(4096);
    expect(buckets.has("name 9999", 10_000)).toBe(false);
  });
});

test.each([
  ["10.0.0.1", "10.0.0.1"],
  ["::ffff:10.0.0.1", "10.0.0.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8:1:2::6", "2001:db8:1:2::/64"],
  ["2001:DB8::6", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["", ""],
])("who comes from %s is counted as %s", (address, origin) => {
  expect(originOf(address)).toBe(origin);
});
