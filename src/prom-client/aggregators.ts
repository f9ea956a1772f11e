// How the values of one metric from several processes become one.

import type { Labels } from "./labels.ts";
import type { MetricData, Sample } from "./registry-text.ts";

type Aggregator = (metrics: readonly MetricData[]) => MetricData | undefined;

/** Makes an aggregator of a rule for the samples that have name and labels in common. */
function AggregatorFactory(combine: (samples: readonly Sample[]) => number): Aggregator {
  return (metrics) => {
    const first = metrics[0];
    if (first === undefined) return undefined;
    const groups = new Map<string, Sample[]>();
    for (const { values = [] } of metrics) {
      for (const sample of values) {
        const key = `${sample.metricName}_${keyOf(sample.labels!)}`;
        const group = groups.get(key);
        if (group === undefined) groups.set(key, [sample]);
        else group.push(sample);
      }
    }
    const { help, name, type, aggregator } = first;
    const values = [...groups.values()].map((samples) => {
      const { labels, metricName } = samples[0]!;
      const sample: Sample = { value: combine(samples), labels: labels! };
      if (metricName) sample.metricName = metricName;
      return sample;
    });
    return { help, name, type, values, aggregator: aggregator! };
  };
}

function sum(samples: readonly Sample[]): number {
  return samples.reduce((total, { value }) => total + value, 0);
}

/** The aggregators that a metric may name. */
export const aggregators = {
  sum: AggregatorFactory(sum),
  first: AggregatorFactory((samples) => samples[0]!.value),
  /** Leaves the metric out. */
  omit: (() => undefined) as Aggregator,
  average: AggregatorFactory((samples) => sum(samples) / samples.length),
  min: AggregatorFactory((samples) =>
    samples.reduce((least, { value }) => Math.min(least, value), Number.POSITIVE_INFINITY),
  ),
  max: AggregatorFactory((samples) =>
    samples.reduce((most, { value }) => Math.max(most, value), Number.NEGATIVE_INFINITY),
  ),
};

/** The same for the same labels in any order. They may come from processes that speak another version: any object. */
function keyOf(labels: Labels): string {
  let key = "";
  for (const name of Object.keys(labels).sort()) {
    if (labels[name] !== undefined) key += `${name}:${labels[name]},`;
  }
  return key;
}
