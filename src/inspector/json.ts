// Pools for programs: the report as it is, with labels by their names.

import { formatValue } from "../exposition/index.ts";
import type { MetricReport, PoolReport, SeriesReport } from "./report.ts";

/** What JSON has no word for: infinite numbers become the texts "+Inf" and "-Inf", and what is no number is left out. */
type Json = unknown;

export function poolJson(pool: PoolReport): Json {
  return withoutOddNumbers({
    ...pool,
    services: pool.services.map((service) => ({
      ...service,
      processes: service.processes.map(({ identity, ...process }) => ({
        ...process,
        // What is not known is left out.
        ...Object.fromEntries(Object.entries(identity).filter(([, value]) => value)),
      })),
      metrics: service.metrics.map(metricJson),
    })),
  });
}

function metricJson({ series, ...metric }: MetricReport): Json {
  return { ...metric, series: series.map((each) => seriesJson(metric, each)) };
}

function seriesJson(
  { labelNames }: Pick<MetricReport, "labelNames">,
  { labelValues, ...values }: SeriesReport,
): Json {
  return {
    labels: Object.fromEntries(labelNames.map((name, i) => [name, labelValues[i]])),
    ...values,
  };
}

/** A copy that JSON can hold. */
export function withoutOddNumbers(value: unknown): Json {
  if (typeof value === "number") {
    if (Number.isFinite(value)) return value;
    return Number.isNaN(value) ? undefined : formatValue(value);
  }
  if (Array.isArray(value)) return value.map((each) => withoutOddNumbers(each) ?? null);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, withoutOddNumbers(each)]),
  );
}
