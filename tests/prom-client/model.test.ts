// prom-client as the model: random sequences of calls on both, and after each of them all that is shown is the same.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as theirs from "prom-client";
import * as ours from "../../src/prom-client/index.ts";
import type { Client } from "./both.ts";

const LABEL_NAMES = ["a", "b"];
const SLOTS = 4;

/** A registry with metrics in numbered places, and children that somebody has kept. */
interface World {
  client: Client;
  registry: Client;
  metrics: Client[];
  kept: Client[];
}

type Step = (world: World) => unknown;

/** Begins with a metric of each kind. */
function world(client: Client, contentType: string): World {
  const registry = new client.Registry(contentType);
  const metrics = ["Counter", "Gauge", "Histogram", "Summary"].map(
    (kind) =>
      new client[kind]({ name: kind, help: "h", labelNames: LABEL_NAMES, registers: [registry] }),
  );
  return { client, registry, metrics, kept: [] };
}

// Of what prom-client takes for amounts, text and false are left out: see docs/prom-client.md.
const value = fc.oneof(
  { weight: 8, arbitrary: fc.double({ min: -4, max: 12, noNaN: true }) },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 12 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      undefined,
      null,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      "x",
      true,
      {},
    ),
  },
);
const labelValue = fc.constantFrom("x", "y", 'q"\\\n', "1", 1, "", true, null, undefined);
const labels = fc.oneof(
  { weight: 6, arbitrary: fc.record({ a: labelValue, b: labelValue }, { noNullPrototype: true }) },
  {
    weight: 3,
    arbitrary: fc.record(
      { b: labelValue, a: labelValue },
      { requiredKeys: [], noNullPrototype: true },
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom({}, { c: "unknown" }, { a: "x", c: "unknown" }) },
);
const slot = fc.nat(SLOTS - 1);

/** A step on the metric in a place, which may be of any kind: a call that it does not have is no step. */
function call<T>(name: string, given: fc.Arbitrary<T>, ...more: string[]): fc.Arbitrary<Step> {
  return fc.tuple(slot, given, fc.constantFrom(name, ...more)).map(
    ([place, args, method]) =>
      ({ metrics }) =>
        metrics[place]?.[method]?.(...(args as unknown[])),
  );
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .record({
        place: slot,
        kind: fc.constantFrom("Counter", "Gauge", "Histogram", "Summary"),
        name: fc.constantFrom("m0", "m1_total", "m2"),
        labelNames: fc.constantFrom([], LABEL_NAMES, ["b", "a"]),
        buckets: fc.constantFrom([1, 5], [5, 1], [0.5], []),
        aggregator: fc.constantFrom("sum", "min", "average", "first"),
      })
      .map(
        ({ place, kind, buckets, ...config }): Step =>
          ({ client, registry, metrics }) => {
            const more = { help: "h", percentiles: [0.5, 0.9], registers: [registry] };
            const given = { ...config, ...more, buckets: [...buckets] };
            metrics[place] = new client[kind](given);
          },
      ),
  },
  { weight: 6, arbitrary: call("inc", fc.tuple(labels, value), "dec", "set", "observe") },
  { weight: 4, arbitrary: call("inc", fc.tuple(value), "dec", "set", "observe") },
  { weight: 1, arbitrary: call("inc", fc.constant([])) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        slot,
        slot,
        fc.oneof(fc.tuple(labels), fc.tuple(labelValue, labelValue), fc.tuple(labelValue)),
      )
      .map(
        ([place, keep, given]): Step =>
          ({ metrics, kept }) => {
            // null as the only value is told of in the engine's words.
            if (given[0] === null) return;
            const child = metrics[place]?.labels(...given);
            if (child !== undefined) kept[keep] = child;
          },
      ),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(slot, value, fc.constantFrom("inc", "dec", "set", "observe")).map(
      ([keep, given, method]): Step =>
        ({ kept }) =>
          kept[keep]?.[method]?.(given),
    ),
  },
  {
    weight: 2,
    arbitrary: call(
      "remove",
      fc.oneof(
        fc.tuple(labels),
        fc.tuple(labelValue, labelValue).filter(([a]) => a !== null),
      ),
    ),
  },
  { weight: 1, arbitrary: call("zero", fc.tuple(labels)) },
  { weight: 1, arbitrary: call("reset", fc.constant([])) },
  { weight: 1, arbitrary: fc.constant(({ registry }: World) => registry.resetMetrics()) },
  { weight: 1, arbitrary: fc.constant(({ registry }: World) => registry.clear()) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("m0", "m1_total", "m2").map(
      (name) =>
        ({ registry }: World) =>
          registry.removeSingleMetric(name),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom({}, { env: "dev" }, { a: "default", le: "1" }).map(
      (given) =>
        ({ registry }: World) =>
          registry.setDefaultLabels(given),
    ),
  },
);

function outcome(run: Step, of: World): string {
  try {
    run(of);
    return "done";
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

async function shown({ registry, metrics }: World): Promise<unknown> {
  const text = await registry.metrics();
  // Of each metric, not of the registry: prom-client would keep the default labels.
  const objects = await Promise.all(metrics.map((metric) => metric?.get()));
  return { text, objects: JSON.stringify(objects) };
}

describe("any sequence of calls", () => {
  test.each(["Prometheus", "OpenMetrics"])(
    "shows the same with both, in %s's format",
    async (format) => {
      const contentType =
        format === "OpenMetrics" ? ours.openMetricsContentType : ours.prometheusContentType;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), async (steps) => {
          const expected = world(theirs, contentType);
          const received = world(ours, contentType);
          for (const run of steps) {
            expect(outcome(run, received)).toBe(outcome(run, expected));
          }
          expect(await shown(received)).toEqual(await shown(expected));
        }),
        { numRuns: 500 },
      );
    },
  );
});
