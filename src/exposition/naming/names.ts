// What a metric is called where names are Prometheus's: in its text formats and in remote write. Those of OpenTelemetry's
// have dots, which not every reader takes.
// https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
// https://prometheus.io/docs/instrumenting/escaping_schemes/

import { DIALECT, type MetricDefinition } from "../../layout/index.ts";

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

/**
 * What becomes of names that Prometheus's older readers do not take, by the words of its content negotiation: as they are;
 * by OpenTelemetry's rules, with underscores, unit and `_total`; or spelt so that they can be read back.
 */
export const NAME_SCHEMES = ["underscores", "allow-utf-8", "dots", "values"] as const;
export type NameScheme = (typeof NAME_SCHEMES)[number];

// Prometheus's data model before version 3.
const LEGACY_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LEGACY_LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

const known = {
  underscores: new WeakMap<MetricDefinition, PrometheusNames>(),
  "allow-utf-8": new WeakMap<MetricDefinition, PrometheusNames>(),
  dots: new WeakMap<MetricDefinition, PrometheusNames>(),
  values: new WeakMap<MetricDefinition, PrometheusNames>(),
} as const satisfies Record<NameScheme, object>;

/** The names as Prometheus has them; the same object each time. */
export function prometheusNames(
  definition: MetricDefinition,
  scheme: NameScheme = "underscores",
): PrometheusNames {
  const isTranslated = definition.dialect === DIALECT;
  if (!isTranslated && scheme !== "dots") return definition;
  let names = known[scheme].get(definition);
  if (names === undefined) {
    names =
      isTranslated && scheme === "underscores" ? translate(definition) : spell(definition, scheme);
    known[scheme].set(definition, names);
  }
  return names;
}

/** A metric's name, or a sample's, as a scheme spells it. */
export function escapeName(name: string, scheme: NameScheme): string {
  return spellIn(name, scheme, LEGACY_NAME);
}

/** A label's name as a scheme spells it. */
export function escapeLabelName(name: string, scheme: NameScheme): string {
  return spellIn(name, scheme, LEGACY_LABEL);
}

function spellIn(name: string, scheme: NameScheme, plain: RegExp): string {
  if (scheme === "allow-utf-8" || (scheme !== "dots" && plain.test(name))) return name;
  const spelt = Array.from(name, (character, i) => {
    const isPlain = plain.test(i === 0 ? character : `_${character}`);
    if (scheme === "underscores") return isPlain ? character : "_";
    if (character === "_") return "__";
    if (isPlain) return character;
    if (scheme === "values") return `_${character.codePointAt(0)!.toString(16)}_`;
    return character === "." ? "_dot_" : "__";
  }).join("");
  return scheme === "values" ? `U__${spelt}` : spelt;
}

/** What a line of the text formats begins with, before its labels: names of Prometheus 3 stand among those. */
export function sampleLead(name: string): string {
  return LEGACY_NAME.test(name) ? `${name}{` : `{${JSON.stringify(name)},`;
}

/** A metric's name as the text formats have it in HELP, TYPE and UNIT. */
export function familyName(name: string): string {
  return LEGACY_NAME.test(name) ? name : JSON.stringify(name);
}

/** A label's name as the text formats have it. */
export function labelName(name: string): string {
  return LEGACY_LABEL.test(name) ? name : JSON.stringify(name);
}

/** The names that a metric has, in a scheme. */
function spell(
  { name, unit, dialect, labelNames }: MetricDefinition,
  scheme: NameScheme,
): PrometheusNames {
  const isTranslated = dialect === DIALECT;
  return {
    name: escapeName(name, scheme),
    unit: isTranslated ? unitOf(unit) : unit,
    labelNames: isTranslated
      ? labelsIn(labelNames, scheme)
      : labelNames.map((label) => escapeLabelName(label, scheme)),
  };
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
  const whole = of === "1" ? "" : (wordOf(UNITS, of) ?? plain(of));
  if (per === "") return whole;
  return plain(`${whole}_per_${wordOf(PER_UNITS, per) ?? plain(per)}`);
}

function wordOf(words: Readonly<Record<string, string>>, unit: string): string | undefined {
  return Object.hasOwn(words, unit) ? words[unit] : undefined;
}

/** Letters, digits and single underscores, none of them at either end. */
function plain(text: string): string {
  return text.replace(/[^a-zA-Z0-9]+/g, "_").replace(/^_+|_+$/g, "");
}

/** Labels of histograms and summaries alone. */
const RESERVED = ["le", "quantile"];

function labelsOf(keys: readonly string[]): string[] {
  return distinct(keys, (key) => {
    const text = key.replace(/[^a-zA-Z0-9]+/g, "_");
    // Prometheus keeps what begins with two underscores for itself, and no name begins with a digit.
    return /^[0-9]/.test(text) || text === "_" ? `key_${text}` : text;
  });
}

function labelsIn(keys: readonly string[], scheme: NameScheme): string[] {
  return distinct(keys, (key) => escapeLabelName(key.startsWith("__") ? `key${key}` : key, scheme));
}

/** Label names that have become the same get a number: no label may appear twice. */
function distinct(keys: readonly string[], nameOf: (key: string) => string): string[] {
  const taken = new Set(RESERVED);
  return keys.map((key) => {
    const name = nameOf(key);
    let free = name;
    for (let i = 2; taken.has(free); i++) free = `${name}_${i}`;
    taken.add(free);
    return free;
  });
}
