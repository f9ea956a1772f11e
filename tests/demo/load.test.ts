// The demo's load: how many requests there are by when.

import { describe, expect, test } from "bun:test";
import { requestsDue } from "../../src/demo/load.ts";

describe("the demo's load", () => {
  test("is the rate that was asked for, on average, every four seconds", () => {
    for (const seconds of [4, 8, 12, 60]) {
      expect(requestsDue(seconds * 1000, 200)).toBeCloseTo(200 * seconds, 6);
    }
  });

  test("swings by 60 % and never runs backwards", () => {
    const perSecond = Array.from(
      { length: 800 },
      (_, i) => (requestsDue((i + 1) * 10, 200) - requestsDue(i * 10, 200)) * 100,
    );
    expect(Math.min(...perSecond)).toBeCloseTo(80, 0);
    expect(Math.max(...perSecond)).toBeCloseTo(320, 0);
  });
});
