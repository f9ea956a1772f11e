// What a reader wants: by globs, whose answers are kept for some names only.

import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { EVERYTHING, wantedBy } from "../../src/collector/index.ts";
import type { Metric } from "../../src/layout/index.ts";

function metric(name: string): Metric {
  return { definition: { name } } as Metric;
}

test("a metric is wanted when its service and its name fit, however many there were before", () => {
  const wanted = wantedBy({ apps: [], services: ["a*"], metrics: ["*_total"] });
  for (let i = 0; i < 25_000; i++) {
    expect(wanted.metric("auth", metric(`m${i}_total`))).toBe(true);
    expect(wanted.metric("auth", metric(`m${i}`))).toBe(false);
  }
  expect(wanted.metric("auth", metric("m0_total"))).toBe(true);
  expect(wanted.metric("billing", metric("m0_total"))).toBe(false);
});

test("names that come and go take no memory", () => {
  const wanted = wantedBy({ ...EVERYTHING, metrics: ["*_total"] });
  const strings = () => {
    Bun.gc(true);
    return heapStats().objectTypeCounts["string"] ?? 0;
  };
  const before = strings();
  for (let i = 0; i < 100_000; i++) wanted.metric("auth", metric(`m${i}_total`));
  expect(strings() - before).toBeLessThan(50_000);
  expect(wanted.app("shop")).toBe(true);
});
