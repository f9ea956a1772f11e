// The same program over the OpenTelemetry SDK and over ours means the same to whoever receives its metrics: what the SDK
// collects, and what `collect --otlp` sends of the pool.

import { expect, setDefaultTimeout, test } from "bun:test";
import type { Attributes, MeterProvider } from "@opentelemetry/api";
import * as sdk from "@opentelemetry/sdk-metrics";
import fc from "fast-check";
import * as microview from "../../src/opentelemetry/index.ts";
import { runCli } from "../commands/run-cli.ts";
import { TestHost } from "../support/host.ts";
import { OtlpReceiver, type ReceivedMetric } from "../support/otlp.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { providerOn, textOf } from "./provider.ts";

setDefaultTimeout(patience(60_000));

class Reader extends sdk.MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

const KINDS = ["Counter", "UpDownCounter", "Gauge", "Histogram"] as const;
const OBSERVABLE = ["ObservableCounter", "ObservableUpDownCounter", "ObservableGauge"] as const;
const SCOPES = [
  ["http", "1.0"],
  ["db", undefined],
] satisfies [string, string | undefined][];

const attributes = fc.dictionary(
  fc.constantFrom("http.route", "method", "user.id", "日本"),
  fc.constantFrom("a", "b", "", "c d", '"\\\n'),
  { maxKeys: 3, noNullPrototype: true },
);
const measurement = fc.record({
  scope: fc.constantFrom(...SCOPES),
  kind: fc.constantFrom(...KINDS),
  unit: fc.constantFrom("", "s"),
  value: fc.integer({ min: -50, max: 5000 }),
  attributes,
});
const observation = fc.record({
  kind: fc.constantFrom(...OBSERVABLE),
  value: fc.integer({ min: 0, max: 100 }),
  attributes,
});
type Measurement = typeof measurement extends fc.Arbitrary<infer T> ? T : never;
type Observation = typeof observation extends fc.Arbitrary<infer T> ? T : never;

/** Of each kind and unit an instrument: names differ, for a name means one thing. */
const nameOf = (kind: string, unit: string) => `test.${kind}${unit === "" ? "" : "/in"}${unit}`;

function run(provider: MeterProvider, program: Measurement[], observations: Observation[]): void {
  for (const { scope, kind, unit, value, attributes: given } of program) {
    const meter = provider.getMeter(scope[0], scope[1]);
    const options = { unit, description: `A ${kind}.` };
    if (kind === "Counter") meter.createCounter(nameOf(kind, unit), options).add(value, given);
    else if (kind === "UpDownCounter") {
      meter.createUpDownCounter(nameOf(kind, unit), options).add(value, given);
    } else if (kind === "Gauge") {
      meter.createGauge(nameOf(kind, unit), options).record(value, given);
    } else meter.createHistogram(nameOf(kind, unit), options).record(value, given);
  }
  const meter = provider.getMeter("observed");
  for (const kind of OBSERVABLE) {
    const observable = meter[`create${kind}`](nameOf(kind, ""));
    observable.addCallback((result) => {
      for (const each of observations) {
        if (each.kind === kind) result.observe(each.value, each.attributes);
      }
    });
  }
}

/** The same views of either. */
function views({
  AggregationType,
  createDenyListAttributesProcessor,
}: typeof microview | typeof sdk): microview.ViewOptions[] {
  return [
    {
      instrumentName: nameOf("Histogram", "s"),
      aggregation: {
        type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
        options: { boundaries: [1, 100] },
      } as never,
    },
    {
      instrumentName: nameOf("Counter", "s"),
      name: "renamed.by-view",
      attributesProcessors: [createDenyListAttributesProcessor(["user.id"])] as never,
    },
  ];
}

/** What is compared: all that both say, by scope, name and attributes. */
type Meaning = Record<string, unknown>;

async function meaningOfSdk(reader: Reader): Promise<Meaning> {
  const { resourceMetrics } = await reader.collect();
  const meaning: Meaning = {};
  for (const { scope, metrics } of resourceMetrics.scopeMetrics) {
    for (const metric of metrics) {
      const { name, unit, description } = metric.descriptor;
      const kind = sdk.DataPointType[metric.dataPointType]!.toLowerCase();
      const isMonotonic = metric.dataPointType === sdk.DataPointType.SUM && metric.isMonotonic;
      for (const point of metric.dataPoints) {
        const value = point.value as number | { count: number; sum: number; buckets: object };
        meaning[keyOf(scope.name, scope.version ?? "", name, point.attributes)] = {
          ...{ unit, description, kind, isMonotonic },
          value: typeof value === "number" ? value : [value.count, value.sum, { ...value.buckets }],
        };
      }
    }
  }
  return meaning;
}

function meaningOf(received: readonly ReceivedMetric[]): Meaning {
  const meaning: Meaning = {};
  for (const { scope, name, unit, description, kind, isMonotonic = false, points } of received) {
    // The agent's own.
    if (scope.name === "microview") continue;
    for (const {
      attributes: given,
      asDouble,
      count,
      sum,
      bucketCounts,
      explicitBounds,
    } of points) {
      const counts = { boundaries: explicitBounds, counts: bucketCounts };
      meaning[keyOf(scope.name, scope.version ?? "", name, given)] = {
        ...{ unit, description, kind, isMonotonic },
        value: kind === "histogram" ? [count, sum, counts] : asDouble,
      };
    }
  }
  return meaning;
}

function keyOf(scope: string, version: string, name: string, given: Attributes): string {
  return `${scope} ${version} ${name} ${textOf(given)}`;
}

test("a program of any instruments, attributes and values means the same as with the SDK", async () => {
  const [random] = crypto.getRandomValues(new Uint32Array(1));
  const seed = Number(process.env["DIFFERENTIAL_SEED"] ?? random);
  console.log(`differential: DIFFERENTIAL_SEED=${seed}`);
  const many = { seed: seed | 0, numRuns: 1 };
  const [program] = fc.sample(fc.array(measurement, { minLength: 400, maxLength: 800 }), many);
  const [observations] = fc.sample(fc.array(observation, { maxLength: 30 }), many);
  await using host = new TestHost();
  await host.agent();
  await using receiver = new OtlpReceiver();
  const reader = new Reader();
  const theirs = new sdk.MeterProvider({ readers: [reader], views: views(sdk) as never });
  const ours = providerOn(host, { views: views(microview) });
  for (const provider of [theirs, ours]) run(provider, program!, observations!);
  await ours.forceFlush();
  await ours.ready;
  const expected = await meaningOfSdk(reader);
  expect(Object.keys(expected).length).toBeGreaterThan(20);
  const collect = ["collect", "--once", "--socket", host.socketPath, "--otlp", receiver.url];
  // What the observable instruments have made may have got its places a moment later.
  await until("all is received", async () => {
    receiver.metrics.length = 0;
    const { exitCode, stderr } = await runCli(collect);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    return Object.keys(meaningOf(receiver.metrics)).length === Object.keys(expected).length;
  });
  expect(meaningOf(receiver.metrics)).toEqual(expected);
  await theirs.shutdown();
});
