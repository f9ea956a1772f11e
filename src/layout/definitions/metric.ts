// What a metric is: its kind, names and shape, the rules they keep, and how many slots a series takes.
// Used by the client (to refuse early), by the agent (to refuse for certain) and by readers (to make sense of slots).

import { cutTo, utf8Bytes } from "../bytes.ts";
import { LIMITS } from "../constants.ts";
import { type LogLinearOptions, type LogLinearShape, logLinearShape } from "./histogram.ts";

/** Kinds of metric, in the order of their codes in the directory. */
export const KINDS = ["counter", "gauge", "histogram", "loglinear"] as const;
export type Kind = (typeof KINDS)[number];

/** How the values of a gauge combine over its writers, in the order of their codes. */
export const COMBINES = ["sum", "mean", "min", "max", "last"] as const;
export type Combine = (typeof COMBINES)[number];

/**
 * What a service declares; two declarations of one name must agree in all but `help`, and in the dialect of
 * OpenTelemetry in all but `help` and `labelNames`: there a name has a metric for each set of attribute keys.
 */
export interface MetricDefinition {
  name: string;
  kind: Kind;
  unit: string;
  help: string;
  labelNames: readonly string[];
  /** Gauges only; "sum" for every other kind. */
  combine: Combine;
  /** Upper bounds of an explicit histogram, ascending, without +Inf; empty for every other kind. */
  bounds: readonly number[];
  /** Log-linear histograms only. */
  logLinear?: Required<LogLinearOptions>;
  /** Whose rules the names keep, and whose meaning they have; Prometheus's unless it says otherwise. */
  dialect?: Dialect;
}

/** An instrument of OpenTelemetry's API: its names have dots, and its sets of attributes are open. */
export const DIALECT = "opentelemetry";
export type Dialect = typeof DIALECT;
/** Labels that say which library made an instrument, under the names that formats without scopes have for it. */
export const SCOPE_LABELS = { name: "otel.scope.name", version: "otel.scope.version" } as const;

/** A definition that breaks a rule. The message names what was given and what is allowed. */
export class DefinitionError extends Error {
  override readonly name = "DefinitionError";
}

// Prometheus data model, "Metric names and labels"; a double underscore is kept for internal use.
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
// https://opentelemetry.io/docs/specs/otel/metrics/api/#instrument-name-syntax
const INSTRUMENT_NAME = /^[a-zA-Z][a-zA-Z0-9_./-]*$/;
// Any text, says OpenTelemetry; here none that could be taken for more than one label where labels are shown.
const ATTRIBUTE_KEY = /^[^\s\p{Cc}\p{Cf}\p{Cs}\p{Z}"\\=,{}]+$/u;
// What an agent appends to the name of a pool's file while it is not finished, or when it cannot be used.
const RESERVED_NAME = /\.(new|damaged)-/;
const APP_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;

function checkLength(what: string, value: string, maxBytes: number): void {
  if (value.length * 3 <= maxBytes) return;
  const bytes = utf8Bytes(value);
  if (bytes > maxBytes) {
    throw new DefinitionError(
      `${what} ${JSON.stringify(`${value.slice(0, 40)}…`)} has ${bytes} bytes, at most ${maxBytes} are allowed`,
    );
  }
}

/** @throws DefinitionError unless the name can be an application's, that is, part of a file's name */
export function checkAppName(name: string): void {
  checkLength("the application name", name, LIMITS.appNameBytes);
  if (!APP_NAME.test(name)) {
    throw new DefinitionError(
      `the application name ${JSON.stringify(name)} may have letters, digits, "-", "_" and single dots inside`,
    );
  }
  if (RESERVED_NAME.test(name)) {
    throw new DefinitionError(
      `the application name ${JSON.stringify(name)} is like those of pools that are set aside or not finished`,
    );
  }
}

/** Whether a name can be an application's. */
export function isAppName(name: string): boolean {
  try {
    checkAppName(name);
    return true;
  } catch {
    return false;
  }
}

/** @throws DefinitionError unless the text can be a service's name: any UTF-8 that is not empty */
export function checkServiceName(name: string): void {
  if (name === "") throw new DefinitionError("the service name is empty");
  checkLength("the service name", name, LIMITS.serviceNameBytes);
}

/**
 * The application's name nearest to a text that nobody checked, as of an environment: accents go, and what a name cannot
 * have becomes "_".
 * @returns undefined when nothing is left
 */
export function nearestAppName(text: string): string | undefined {
  const plain = text.normalize("NFKD").replaceAll(/\p{M}/gu, "").trim();
  const name = plain
    .replaceAll(/[^A-Za-z0-9._-]+/g, "_")
    .replaceAll(/\.{2,}/g, ".")
    .replaceAll(/\.(?=(?:new|damaged)-)/g, "_")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, LIMITS.appNameBytes)
    .replace(/[._-]+$/, "");
  return isAppName(text) ? text : isAppName(name) ? name : undefined;
}

/** As {@link nearestAppName}, of a service's name, which may be any text that is not too long. */
export function nearestServiceName(text: string): string | undefined {
  const name = cutTo(text.toWellFormed().trim(), LIMITS.serviceNameBytes);
  return name === "" ? undefined : name;
}

/** @throws DefinitionError when a label value is too long */
export function checkLabelValue(metric: string, value: string): void {
  // A UTF-16 unit is at most three bytes: most values need no count.
  if (value.length * 3 > LIMITS.labelValueBytes) {
    checkLength(`a label value of ${metric}`, value, LIMITS.labelValueBytes);
  }
}

/** Whether a text can be an instrument's name in the dialect of OpenTelemetry. */
export function isInstrumentName(name: string): boolean {
  return INSTRUMENT_NAME.test(name) && name.length <= LIMITS.metricNameBytes;
}

/** Whether a text can be a label's name in the dialect of OpenTelemetry. */
export function isAttributeKey(key: string): boolean {
  return ATTRIBUTE_KEY.test(key) && utf8Bytes(key) <= LIMITS.labelNameBytes;
}

/**
 * Checks a definition against the rules of its dialect and the limits of the format.
 * @throws DefinitionError naming the first rule that is broken
 */
export function checkDefinition(metric: MetricDefinition): void {
  const { name, kind, labelNames, dialect } = metric;
  checkLength("the metric name", name, LIMITS.metricNameBytes);
  if (dialect !== undefined && dialect !== DIALECT) {
    throw new DefinitionError(`${name}: the dialect ${JSON.stringify(dialect)} is not known`);
  }
  if (!(dialect === undefined ? METRIC_NAME : INSTRUMENT_NAME).test(name)) {
    const rule = dialect === undefined ? "[a-zA-Z_:][a-zA-Z0-9_:]*" : "[a-zA-Z][a-zA-Z0-9_./-]*";
    throw new DefinitionError(`the metric name ${JSON.stringify(name)} must match ${rule}`);
  }
  if (!KINDS.includes(kind)) {
    throw new DefinitionError(
      `${name}: the kind ${JSON.stringify(kind)} is none of ${KINDS.join(", ")}`,
    );
  }
  if (!COMBINES.includes(metric.combine)) {
    throw new DefinitionError(
      `${name}: combine ${JSON.stringify(metric.combine)} is none of ${COMBINES.join(", ")}`,
    );
  }
  if (kind !== "gauge" && metric.combine !== "sum") {
    throw new DefinitionError(`${name}: only a gauge declares how it combines`);
  }
  checkLength(`the unit of ${name}`, metric.unit, LIMITS.unitBytes);
  checkLength(`the help of ${name}`, metric.help, LIMITS.helpBytes);
  if (labelNames.length > LIMITS.labelsPerMetric) {
    throw new DefinitionError(
      `${name} has ${labelNames.length} labels, at most ${LIMITS.labelsPerMetric} are allowed`,
    );
  }
  for (const label of labelNames) checkLabelName(metric, label);
  if (new Set(labelNames).size !== labelNames.length) {
    throw new DefinitionError(`${name}: a label name stands twice in [${labelNames.join(", ")}]`);
  }
  // A set of keys has one order, so that it is one metric whoever registers it.
  if (dialect === DIALECT && labelNames.some((label, i) => i > 0 && label < labelNames[i - 1]!)) {
    throw new DefinitionError(
      `${name}: the attribute keys [${labelNames.join(", ")}] are not in the order of their UTF-16 code units`,
    );
  }
  checkBounds(metric);
  if (kind === "loglinear") {
    const { min, max, error } = metric.logLinear ?? {};
    if (min === undefined || max === undefined || error === undefined) {
      throw new DefinitionError(`${name}: a log-linear histogram states its min, max and error`);
    }
    try {
      logLinearShape(metric.logLinear);
    } catch (error) {
      throw new DefinitionError(`${name}: ${(error as Error).message}`);
    }
  } else if (metric.logLinear !== undefined) {
    throw new DefinitionError(`${name}: min, max and error belong to a log-linear histogram`);
  }
}

function checkLabelName({ name, kind, dialect }: MetricDefinition, label: string): void {
  checkLength(`a label name of ${name}`, label, LIMITS.labelNameBytes);
  if (dialect === DIALECT) {
    if (ATTRIBUTE_KEY.test(label)) return;
    throw new DefinitionError(
      `${name}: the attribute key ${JSON.stringify(label)} may have no blanks, controls or any of "\\=,{}`,
    );
  }
  if (!LABEL_NAME.test(label) || label.startsWith("__")) {
    throw new DefinitionError(
      `${name}: the label name ${JSON.stringify(label)} must match [a-zA-Z_][a-zA-Z0-9_]* and not start with "__"`,
    );
  }
  if (label === "le" && (kind === "histogram" || kind === "loglinear")) {
    throw new DefinitionError(`${name}: a histogram keeps the label "le" for its buckets`);
  }
}

function checkBounds({ name, kind, bounds }: MetricDefinition): void {
  if (kind !== "histogram") {
    if (bounds.length > 0) throw new DefinitionError(`${name}: a ${kind} has no bounds`);
    return;
  }
  // One without bounds is a count and a sum.
  if (bounds.length > LIMITS.boundsPerHistogram) {
    throw new DefinitionError(
      `${name}: a histogram has up to ${LIMITS.boundsPerHistogram} bounds, got ${bounds.length}`,
    );
  }
  for (let i = 0; i < bounds.length; i++) {
    const bound = bounds[i]!;
    if (!Number.isFinite(bound) || (i > 0 && bound <= bounds[i - 1]!)) {
      throw new DefinitionError(
        `${name}: bounds must be finite and ascending, got ${bound} at place ${i} (+Inf is added by itself)`,
      );
    }
  }
}

/** Slots that one series of the metric takes. */
export function slotsPerSeries(metric: MetricDefinition): number {
  switch (metric.kind) {
    case "counter":
      return 1;
    case "gauge":
      // "last" needs to know when: value, unix time in ms of the store.
      return metric.combine === "last" ? 2 : 1;
    case "histogram":
      // One per bound, one beyond the last, the sum. The count is the sum of the buckets, so they always agree.
      return metric.bounds.length + 2;
    case "loglinear":
      return logLinearShape(metric.logLinear).buckets + 3;
  }
}

/** The value a slot of a gauge has before its writer has set it: absent, so that it does not take part. */
export function initialValue(metric: Pick<MetricDefinition, "kind" | "combine">): number {
  return metric.kind === "gauge" && metric.combine !== "sum" ? Number.NaN : 0;
}

/** Whether two definitions of one name are one metric, as far as their labels go: any are, where they are not open. */
export function sameLabelNames(known: MetricDefinition, given: MetricDefinition): boolean {
  if (known.dialect !== DIALECT || given.dialect !== DIALECT) return true;
  const { labelNames } = given;
  return (
    known.labelNames.length === labelNames.length &&
    known.labelNames.every((label, i) => label === labelNames[i])
  );
}

/**
 * Says in what two definitions of one name differ, or nothing when they agree; help may differ, and labels in the
 * dialect of OpenTelemetry.
 */
export function definitionConflict(
  known: MetricDefinition,
  given: MetricDefinition,
): string | undefined {
  const labelsOf = ({ dialect, labelNames }: MetricDefinition) =>
    dialect === DIALECT ? "open" : labelNames.join(", ");
  const pairs: [string, unknown, unknown][] = [
    ["dialect", known.dialect ?? "prometheus", given.dialect ?? "prometheus"],
    ["kind", known.kind, given.kind],
    ["unit", known.unit, given.unit],
    ["labels", labelsOf(known), labelsOf(given)],
    ["combine", known.combine, given.combine],
    ["bounds", known.bounds.join(", "), given.bounds.join(", ")],
    ["min", known.logLinear?.min, given.logLinear?.min],
    ["max", known.logLinear?.max, given.logLinear?.max],
    ["error", known.logLinear?.error, given.logLinear?.error],
  ];
  for (const [field, a, b] of pairs) {
    if (a !== b) return `${field} was ${JSON.stringify(a)}, now ${JSON.stringify(b)}`;
  }
  return undefined;
}

/** The bucket arithmetic of a log-linear metric. */
export function shapeOf(metric: MetricDefinition): LogLinearShape {
  return logLinearShape(metric.logLinear);
}
