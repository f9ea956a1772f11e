// Our types stand for prom-client's and prom-client's for ours: what compiles with one compiles with the other.
// The compiler checks this file; running it only shows that the module is found by its name.

import { expect, test } from "bun:test";
import * as ours from "microview/prom-client";
import type * as theirs from "prom-client";

/** Fails to compile unless each can be assigned to the other. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;

type Label = "a" | "b";

type Checks = [
  Same<ours.Counter, theirs.Counter>,
  Same<ours.Counter<Label>, theirs.Counter<Label>>,
  Same<ours.Gauge<Label>, theirs.Gauge<Label>>,
  Same<ours.Histogram<Label>, theirs.Histogram<Label>>,
  Same<ours.Summary<Label>, theirs.Summary<Label>>,
  Same<ours.Metric<Label>, theirs.Metric<Label>>,
  Same<ours.Registry, theirs.Registry>,
  Same<ours.Registry<ours.OpenMetricsContentType>, theirs.Registry<theirs.OpenMetricsContentType>>,
  Same<
    ours.AggregatorRegistry<ours.PrometheusContentType>,
    theirs.AggregatorRegistry<theirs.PrometheusContentType>
  >,
  Same<
    ours.Pushgateway<ours.PrometheusContentType>,
    theirs.Pushgateway<theirs.PrometheusContentType>
  >,
  Same<ours.CounterConfiguration<Label>, theirs.CounterConfiguration<Label>>,
  Same<ours.GaugeConfiguration<Label>, theirs.GaugeConfiguration<Label>>,
  Same<ours.HistogramConfiguration<Label>, theirs.HistogramConfiguration<Label>>,
  Same<ours.SummaryConfiguration<Label>, theirs.SummaryConfiguration<Label>>,
  Same<ours.Counter.Internal, theirs.Counter.Internal>,
  Same<ours.Gauge.Internal<Label>, theirs.Gauge.Internal<Label>>,
  Same<ours.Histogram.Internal<Label>, theirs.Histogram.Internal<Label>>,
  Same<ours.Summary.Internal<Label>, theirs.Summary.Internal<Label>>,
  Same<ours.Histogram.Config, theirs.Histogram.Config>,
  Same<ours.Summary.Config, theirs.Summary.Config>,
  Same<ours.Pushgateway.Parameters, theirs.Pushgateway.Parameters>,
  Same<ours.IncreaseDataWithExemplar<Label>, theirs.IncreaseDataWithExemplar<Label>>,
  Same<ours.ObserveDataWithExemplar<Label>, theirs.ObserveDataWithExemplar<Label>>,
  Same<
    ours.DefaultMetricsCollectorConfiguration<ours.PrometheusContentType>,
    theirs.DefaultMetricsCollectorConfiguration<theirs.PrometheusContentType>
  >,
  Same<ours.Aggregator, theirs.Aggregator>,
  Same<ours.RegistryContentType, theirs.RegistryContentType>,
  Same<typeof ours.Counter<Label>, typeof theirs.Counter<Label>>,
  Same<typeof ours.Gauge<Label>, typeof theirs.Gauge<Label>>,
  Same<typeof ours.Histogram<Label>, typeof theirs.Histogram<Label>>,
  Same<typeof ours.Summary<Label>, typeof theirs.Summary<Label>>,
  Same<typeof ours.linearBuckets, typeof theirs.linearBuckets>,
  Same<typeof ours.exponentialBuckets, typeof theirs.exponentialBuckets>,
  Same<typeof ours.collectDefaultMetrics, typeof theirs.collectDefaultMetrics>,
  Same<typeof ours.validateMetricName, typeof theirs.validateMetricName>,
  Same<typeof ours.register, typeof theirs.register>,
];

/** All that prom-client declares, ours declare: the namespace can take its place. */
const replacement: Pick<typeof theirs, "Counter" | "Gauge" | "Histogram" | "Summary"> = ours;

/** A service's own class, as one writes it over prom-client. */
class Requests extends ours.Counter<Label> {
  constructor() {
    super({ name: "requests_total", help: "Requests.", labelNames: ["a", "b"], registers: [] });
  }

  ok(): void {
    this.inc({ a: "GET", b: 200 });
  }
}

test("the types of both can stand for each other, and the module is found by its name", async () => {
  const checked: Checks[number] = true;
  expect(checked).toBeTrue();
  expect(replacement.Counter).toBe(ours.default.Counter);
  const requests = new Requests();
  requests.ok();
  requests.labels("GET", "200").inc(2);
  const { values } = await requests.get();
  expect(values).toEqual([{ value: 3, labels: { a: "GET", b: 200 } }]);
  // @ts-expect-error: a label that was not declared
  expect(() => requests.inc({ c: 1 })).toThrow('Added label "c" is not included');
});
