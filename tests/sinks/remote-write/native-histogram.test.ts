// Log-linear histograms as native ones: every count is kept, and a quantile is as near as is promised.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { logLinearIndex } from "../../../src/layout/definitions/histogram.ts";
import { logLinearShape, slotsPerSeries } from "../../../src/layout/index.ts";
import { type Encoded, RemoteWriteEncoder } from "../../../src/sinks/remote-write/index.ts";
import { define, Scratch } from "../../support/pools.ts";
import { decodeRequest2, type NativeHistogram } from "../../support/remote-write-2.ts";
import { Source } from "../snapshots.ts";

const scratch = new Scratch();
const START_MS = Date.UTC(2026, 0, 2);

function nativesOf(
  source: Source,
  snapshots: number,
  before = (_: number) => {},
): NativeHistogram[] {
  const requests: Encoded[] = [];
  const encoder = new RemoteWriteEncoder({
    labels: [],

    instanceOf: (name) => name,
    histograms: "native",
    protocol: 2,
    maxSamples: 10_000,
    onRequest: (request) => requests.push(request),
  });
  for (let i = 0; i < snapshots; i++) {
    before(i);
    encoder.write(source.snapshot(0, { takenAtMs: START_MS + i }));
  }
  encoder.flush();
  return requests.flatMap(({ body }) => decodeRequest2(body)).flatMap((each) => each.histograms);
}

test("all observations are in buckets that are as near as is promised, whatever the resolution", () => {
  const error = fc.constantFrom(0.35, 0.2, 0.0625, 0.02);
  const value = fc.double({ min: 0.001, max: 10, noNaN: true });
  fc.assert(
    fc.property(error, fc.array(value, { minLength: 1, maxLength: 40 }), (allowed, values) => {
      const options = { min: 0.001, max: 10, error: allowed };
      const shape = logLinearShape(options);
      const definition = define.logLinear("t", options);
      const slots = new Array<number>(slotsPerSeries(definition)).fill(0);
      for (const each of [0, ...values]) slots[logLinearIndex(shape, each)]!++;
      slots[slots.length - 1] = values.reduce((a, b) => a + b, 0);
      const source = new Source(scratch);
      source.writer.put(definition, [], ...slots);
      const [native] = nativesOf(source, 1);
      expect(native).toMatchObject({
        count: values.length + 1,
        schema: shape.subBits,
        zeroCount: 1,
      });
      expect(native!.sum).toBe(slots.at(-1)!);
      expect(native!.zeroThreshold).toBeLessThanOrEqual(0.001);
      const n = 2 ** shape.subBits;
      const bound = (1 + 1 / (2 * n + 1)) * 2 ** (1 / n) * (1 + 1e-12);
      const sorted = values.toSorted((a, b) => a - b);
      const upper = [...native!.buckets].flatMap(([index, count]) =>
        new Array<number>(count).fill(2 ** (index / n)),
      );
      expect(upper).toHaveLength(sorted.length);
      for (const [i, high] of upper.entries()) {
        // The bucket reaches from high / 2^(1/n) to high.
        expect(high / sorted[i]!).toBeLessThanOrEqual(bound);
        expect(sorted[i]! / (high / 2 ** (1 / n))).toBeLessThanOrEqual(bound);
      }
    }),
    { numRuns: 200 },
  );
});

test("finer ones than Prometheus has are made coarser, and lose no count", () => {
  const options = { min: 1, max: 1.3, error: 0.0008 };
  const shape = logLinearShape(options);
  expect(shape.subBits).toBeGreaterThan(8);
  const definition = define.logLinear("t", options);
  const slots = new Array<number>(slotsPerSeries(definition)).fill(1);
  const source = new Source(scratch);
  source.writer.put(definition, [], ...slots);
  const [native] = nativesOf(source, 1);
  expect(native!.schema).toBe(8);
  expect(native!.count).toBe(slots.length - 1);
});

test("moments follow each other in a series, and what is no count is none", () => {
  const source = new Source(scratch);
  const definition = define.logLinear("t", { min: 1, max: 4, error: 0.35 });
  source.writer.put(definition, []);
  const width = slotsPerSeries(definition);
  const natives = nativesOf(source, 5, (i) => {
    const slots = new Array<number>(width).fill(i);
    slots[1] = [Number.NaN, -3, Number.POSITIVE_INFINITY, 2 ** 60, 7][i]!;
    source.writer.store("t", [], ...slots);
  });
  expect(natives.map(({ timestamp }) => timestamp - START_MS)).toEqual([0, 1, 2, 3, 4]);
  expect(natives.map(({ count }) => count)).toEqual(
    [0, 1, 2, 3, 4].map((i) => i * (width - 2) + (i === 4 ? 7 : 0)),
  );
});
