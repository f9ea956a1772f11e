// What a metric of OpenTelemetry's is called where names are Prometheus's: in its text formats and in remote write.
// https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/

import { DIALECT, type MetricDefinition } from "./metric.ts";

/** A metric's name, unit and label names as Prometheus has them; label names in the order of the definition's. */
export type PrometheusNames = Pick<MetricDefinition, "name" | "unit" | "labelNames">;

/** UCUM's units, and the words that Prometheus has for them. */
const UNITS: Readonly<Record<string, string>> = {
  d: "days",
  h: "hours",
  min: "minutes",
  s: "seconds",
  ms: "milliseconds",
  us: "microseconds",
  ns: "nanoseconds",
  By: "bytes",
  KiBy: "kibibytes",
  MiBy: "mebibytes",
  GiBy: "gibibytes",
  TiBy: "tibibytes",
  kBy: "kilobytes",
  KBy: "kilobytes",
  MBy: "megabytes",
  GBy: "gigabytes",
  TBy: "terabytes",
  m: "meters",
  V: "volts",
  A: "amperes",
  J: "joules",
  W: "watts",
  g: "grams",
  Cel: "celsius",
  Hz: "hertz",
  "%": "percent",
};
/** Behind "per". */
const PER_UNITS: Readonly<Record<string, string>> = {
  s: "second",
  m: "minute",
  min: "minute",
  h: "hour",
  d: "day",
  w: "week",
  mo: "month",
  y: "year",
};

const translated = new WeakMap<MetricDefinition, PrometheusNames>();

/** The names as Prometheus has them: those of the definition itself, unless it is in OpenTelemetry's dialect. */
export function prometheusNames(definition: MetricDefinition): PrometheusNames {
  if (definition.dialect !== DIALECT) return definition;
  let names = translated.get(definition);
  if (names === undefined) {
    names = translate(definition);
    translated.set(definition, names);
  }
  return names;
}

function translate({ name, unit, kind, combine, labelNames }: MetricDefinition): PrometheusNames {
  // A gauge that adds up is an UpDownCounter: a ratio is what the others may have.
  const unitText = unit === "1" && kind === "gauge" && combine !== "sum" ? "ratio" : unitOf(unit);
  let base = plain(name);
  if (kind === "counter") base = base.replace(/_total$/, "") || base;
  if (unitText !== "" && base !== unitText && !base.endsWith(`_${unitText}`)) {
    base = `${base}_${unitText}`;
  }
  return {
    name: kind === "counter" ? `${base}_total` : base,
    unit: unitText,
    labelNames: labelsOf(labelNames),
  };
}

function unitOf(unit: string): string {
  // What is in braces is a remark.
  const [of = "", per = ""] = unit.replace(/\{[^}]*\}/g, "").split("/", 2);
  const whole = of === "1" ? "" : (known(UNITS, of) ?? plain(of));
  if (per === "") return whole;
  return plain(`${whole}_per_${known(PER_UNITS, per) ?? plain(per)}`);
}

function known(words: Readonly<Record<string, string>>, unit: string): string | undefined {
  return Object.hasOwn(words, unit) ? words[unit] : undefined;
}

/** Letters, digits and single underscores, none of them at either end. */
function plain(text: string): string {
  return text.replace(/[^a-zA-Z0-9]+/g, "_").replace(/^_+|_+$/g, "");
}

/** Labels of histograms and summaries alone. */
const RESERVED = ["le", "quantile"];

/** Keys that look alike now are told apart by a number: no label may stand twice. */
function labelsOf(keys: readonly string[]): string[] {
  const taken = new Set(RESERVED);
  return keys.map((key) => {
    const text = key.replace(/[^a-zA-Z0-9]+/g, "_");
    // Prometheus keeps what begins with two underscores for itself, and no name begins with a digit.
    const name = /^[0-9]/.test(text) || text === "_" ? `key_${text}` : text;
    let free = name;
    for (let i = 2; taken.has(free); i++) free = `${name}_${i}`;
    taken.add(free);
    return free;
  });
}
