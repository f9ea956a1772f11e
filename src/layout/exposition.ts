// How Prometheus spells numbers, labels and bounds, for all who show series as it does; src/exposition makes the texts.
// https://prometheus.io/docs/instrumenting/exposition_formats/

import type { Metric } from "./directory.ts";
import { logLinearBounds } from "./histogram.ts";
import { shapeOf } from "./metric.ts";

/** A number as Prometheus writes it. */
export function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}

/** A label value inside its quotes. */
export function escapeLabel(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/"/g, '\\"');
}

/** The `le` of each bucket slot, +Inf last. */
export function exposedBounds(metric: Metric): number[] {
  const { definition } = metric;
  if (definition.kind === "histogram") return [...definition.bounds, Number.POSITIVE_INFINITY];
  if (definition.kind === "loglinear") {
    // The underflow bucket ends where the first bucket starts.
    return [...logLinearBounds(shapeOf(definition)), Number.POSITIVE_INFINITY];
  }
  return [];
}
