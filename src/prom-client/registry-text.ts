// Metrics as text, in Prometheus's format 0.0.4 and in OpenMetrics, byte for byte as prom-client writes them.
// https://prometheus.io/docs/instrumenting/exposition_formats/

import type { Exemplar } from "./exemplar.ts";
import { type Labels, NO_LABELS } from "./labels.ts";

/** One value of a metric. */
export interface Sample {
  value: number;
  labels?: Labels;
  /** Labels that several samples have in common; they stand behind the others. */
  sharedLabels?: Labels;
  /** When it is not the metric's. */
  metricName?: string;
  exemplar?: Exemplar | null | undefined;
}

/** What a metric's `get()` tells. */
export interface MetricData {
  name: string;
  help: string;
  type: string;
  values?: Sample[];
  aggregator?: string;
}

/** @param defaults labels that are added where a sample has none of the name */
export function metricText(metric: MetricData, defaults: Labels, isOpenMetrics: boolean): string {
  const name = escapeText(metric.name);
  const total = isOpenMetrics && metric.type === "counter";
  const hasDefaults = Object.keys(defaults).length > 0;
  let text = `# HELP ${name} ${escapeText(metric.help)}\n# TYPE ${name} ${metric.type}`;
  let shared: Labels | undefined;
  let sharedText = "";
  for (const sample of metric.values ?? []) {
    const { labels = NO_LABELS, sharedLabels, exemplar } = sample;
    // The samples of a histogram's series come in a row.
    if (sharedLabels !== shared) {
      shared = sharedLabels;
      sharedText = shared === undefined ? "" : labelsText(shared);
    }
    let own = labelsText(hasDefaults ? { ...labels, ...defaults, ...labels } : labels, shared);
    if (sharedText !== "") own = own === "" ? sharedText : `${own},${sharedText}`;
    text += `\n${sample.metricName ?? name}${total ? "_total" : ""}`;
    text += own === "" ? ` ${valueText(sample.value)}` : `{${own}} ${valueText(sample.value)}`;
    if (isOpenMetrics && exemplar) {
      text += ` # {${labelsText(exemplar.labelSet)}} ${valueText(exemplar.value!)} ${exemplar.timestamp}`;
    }
  }
  return text;
}

/** Not the layout's: NaN is spelt as prom-client spells it. */
function valueText(value: number): string {
  if (Number.isFinite(value)) return `${value}`;
  if (Number.isNaN(value)) return "Nan";
  return value < 0 ? "-Inf" : "+Inf";
}

function labelsText(labels: Labels, except?: Labels): string {
  let text = "";
  for (const name of Object.keys(labels)) {
    if (except !== undefined && Object.hasOwn(except, name)) continue;
    const value = labels[name];
    text += `${text === "" ? "" : ","}${name}="${typeof value === "string" ? escapeValue(value) : value}"`;
  }
  return text;
}

const ESCAPED = /[\\\n"]/;

function escapeValue(value: string): string {
  return ESCAPED.test(value) ? escapeText(value).replace(/"/g, '\\"') : value;
}

function escapeText(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n");
}
