// Prometheus's text format 0.0.4 from a snapshot's values. Used by the agent's GET /metrics and `collect --format prometheus`.
// https://prometheus.io/docs/instrumenting/exposition_formats/

import type { Directory, Metric } from "./directory.ts";
import { logLinearBounds } from "./histogram.ts";
import { shapeOf } from "./metric.ts";

/** A pool's part in an exposition. */
export interface ExposedPool {
  app: string;
  /** Where it was read, for a label `instance` that tells pools of one name apart. */
  source?: string;
  directory: Directory;
  /** As {@link Gather.into} filled them. */
  values: Float64Array;
}

/** A number as Prometheus writes it. */
export function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}

function escapeHelp(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n");
}

/** A label value inside its quotes. */
export function escapeLabel(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/"/g, '\\"');
}

/**
 * Yields the text of one metric name after the other, so that nobody has to hold it all.
 * Each series carries `app` and `service` beside its own labels (its own go first where they clash).
 *
 * @param wanted leaves out metrics
 */
export function* expose(
  pools: readonly ExposedPool[],
  wanted: (pool: ExposedPool, service: string, metric: Metric) => boolean = () => true,
): Generator<string> {
  const families = new Map<string, { pool: ExposedPool; service: string; metric: Metric }[]>();
  for (const pool of pools) {
    for (const metric of pool.directory.metrics.values()) {
      const service = pool.directory.services.get(metric.service) ?? "";
      if (metric.retired || !wanted(pool, service, metric)) continue;
      const { name } = metric.definition;
      const family = families.get(name);
      if (family === undefined) families.set(name, [{ pool, service, metric }]);
      else family.push({ pool, service, metric });
    }
  }
  for (const [name, members] of families) {
    const first = members[0]!.metric.definition;
    const type = promType(first.kind);
    let text = `# HELP ${name} ${escapeHelp(first.help)}\n# TYPE ${name} ${type}\n`;
    for (const { pool, service, metric } of members) {
      // One name has one type in an exposition: who declared it otherwise shows in the agent's own metrics.
      if (promType(metric.definition.kind) !== type) continue;
      text += exposeMetric(pool, service, metric);
    }
    yield text;
  }
}

function promType(kind: Metric["definition"]["kind"]): string {
  return kind === "loglinear" ? "histogram" : kind;
}

function exposeMetric(
  { app, source, directory, values }: ExposedPool,
  service: string,
  metric: Metric,
): string {
  const { name, kind, labelNames } = metric.definition;
  const own = new Set(labelNames);
  const home =
    (own.has("app") ? "" : `,app="${escapeLabel(app)}"`) +
    (own.has("service") ? "" : `,service="${escapeLabel(service)}"`) +
    (source === undefined || own.has("instance") ? "" : `,instance="${escapeLabel(source)}"`);
  const bounds = exposedBounds(metric);
  let text = "";
  for (const series of metric.series) {
    const index = directory.valueIndexOf(series);
    // The directory may have grown since its values were read: text is yielded piece by piece.
    if (index < 0 || index + metric.slots > values.length) continue;
    const labelValues = directory.labelValues(series);
    let labels = "";
    for (let i = 0; i < labelNames.length; i++) {
      labels += `,${labelNames[i]}="${escapeLabel(labelValues[i]!)}"`;
    }
    labels = (labels + home).slice(1);
    if (kind === "counter" || kind === "gauge") {
      const value = values[index]!;
      // A gauge that nobody alive has set is absent, as a series that ended.
      if (!Number.isNaN(value)) {
        text += `${name}{${labels}} ${formatValue(value)}\n`;
      }
      continue;
    }
    const comma = labels === "" ? "" : ",";
    let count = 0;
    for (let i = 0; i < bounds.length; i++) {
      count += values[index + i]!;
      text += `${name}_bucket{${labels}${comma}le="${formatValue(bounds[i]!)}"} ${count}\n`;
    }
    text += `${name}_sum{${labels}} ${formatValue(values[index + bounds.length]!)}\n`;
    text += `${name}_count{${labels}} ${count}\n`;
  }
  return text;
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
