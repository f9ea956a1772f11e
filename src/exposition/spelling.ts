// How Prometheus spells numbers, labels and bounds: for the texts here, and for others who show series as it does.
// https://prometheus.io/docs/instrumenting/exposition_formats/

import { exposedBounds, type Metric } from "../layout/index.ts";

/** A number as Prometheus writes it. */
export function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}

/**
 * A bound as the label `le` has it: OpenMetrics's "canonical numbers", which is how Prometheus 3 spells the bounds of
 * histograms that it scrapes, whatever they were. So they are the same by every way, and whether a type is shown or not.
 */
export function formatBound(value: number): string {
  if (!Number.isFinite(value)) return formatValue(value);
  const [digits = "", power = "0"] = value.toExponential().split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 6) {
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}

/** A label value inside its quotes. */
export function escapeLabel(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/"/g, '\\"');
}

/** Which buckets of a log-linear histogram are shown: its powers of two, or each of its own. */
export const BUCKETS = ["powers", "all"] as const;
export type Buckets = (typeof BUCKETS)[number];

/** The buckets of a histogram as Prometheus is shown them. */
export interface ShownBuckets {
  /** The `le` of each, +Inf last. */
  bounds: readonly number[];
  /** Slots after which the count so far is that of each; the last is that of what is beyond all bounds. */
  cuts: Int32Array;
}

/**
 * Which buckets Prometheus is shown, the same whether it asks or is sent to (decision 0020). An explicit histogram shows
 * its own. A log-linear one, which has hundreds, shows the powers of two in its range and the range's two ends. They
 * depend on its declaration alone, so `le` is the same from process to process. Counts up to each are exact; a quantile
 * within the range that is computed from them is within a factor of two.
 */
export function shownBuckets(metric: Metric, buckets: Buckets): ShownBuckets {
  const all = exposedBounds(metric);
  const hasMore = metric.definition.kind === "loglinear" && buckets === "powers";
  const cuts: number[] = [];
  for (const [i, bound] of all.entries()) {
    if (!hasMore || i === 0 || i >= all.length - 2 || isPowerOfTwo(bound)) cuts.push(i);
  }
  return { bounds: cuts.map((cut) => all[cut]!), cuts: Int32Array.from(cuts) };
}

function isPowerOfTwo(value: number): boolean {
  return 2 ** Math.round(Math.log2(value)) === value;
}
