// The two text formats: how a family is introduced, and what it is called.
// https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4)
// https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md (1.0)
//
// Sample lines are the same in both, so that a series has one name whichever a scraper asks for.

import type { MetricDefinition } from "../layout/index.ts";

export type Format = "text" | "openmetrics";

export const CONTENT_TYPE: Readonly<Record<Format, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

export type FamilyType = "counter" | "gauge" | "histogram";

/** What is said of a family before its samples. */
export interface FamilyHead {
  /** Of its samples; a histogram's have suffixes. */
  name: string;
  type: FamilyType;
  help: string;
  unit: string;
}

export function typeOf({ kind }: Pick<MetricDefinition, "kind">): FamilyType {
  return kind === "loglinear" ? "histogram" : kind;
}

/** What a format says of a family before its samples, and what it calls the moment when they began. */
export interface FamilyIntroduction {
  head: string;
  /** Name of the sample that tells when a series began to count; undefined where there is none. */
  created: string | undefined;
}

/** HELP and TYPE as 0.0.4 has them. */
export function textHead({ name, type, help }: FamilyHead): FamilyIntroduction {
  const head = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
  return { head, created: undefined };
}

/** What ends an OpenMetrics exposition: without it, it was cut short. */
export const OPENMETRICS_END = "# EOF\n";

/**
 * TYPE, UNIT and HELP as OpenMetrics has them, by name of the samples; a family that cannot stand beside the others is
 * missing.
 *
 * A counter's samples end in `_total`, and the family is called without it. One whose name does not, or whose family
 * would take another's name, is of type `unknown`, which may have any name: its series keep theirs. Where the samples
 * of a histogram and another family could have one name, the other is left out ("MUST NOT result in a potential clash").
 */
export function openMetricsHeads(families: readonly FamilyHead[]): Map<string, FamilyIntroduction> {
  const names = new Set(families.map(({ name }) => name));
  const reserved = new Set<string>();
  for (const { name, type } of families) {
    if (type !== "histogram") continue;
    for (const suffix of ["_bucket", "_sum", "_count", "_created"]) reserved.add(name + suffix);
  }
  const heads = new Map<string, FamilyIntroduction>();
  for (const family of families) {
    const { name, type } = family;
    if (reserved.has(name)) continue;
    const base = type === "counter" ? counterBase(name) : undefined;
    const isFree = (taken: string) => !names.has(taken) && !reserved.has(taken);
    if (base !== undefined && isFree(base) && isFree(`${base}_created`)) {
      heads.set(name, {
        head: openMetricsHead(base, "counter", family),
        created: `${base}_created`,
      });
    } else {
      heads.set(name, {
        head: openMetricsHead(name, type === "counter" ? "unknown" : type, family),
        created: type === "histogram" ? `${name}_created` : undefined,
      });
    }
  }
  return heads;
}

function counterBase(name: string): string | undefined {
  return name.endsWith("_total") && name.length > "_total".length
    ? name.slice(0, -"_total".length)
    : undefined;
}

function openMetricsHead(name: string, type: string, { help, unit }: FamilyHead): string {
  let text = `# TYPE ${name} ${type}\n`;
  // Only a unit that the name ends with may be stated.
  if (unit !== "" && /^[a-zA-Z0-9_:]+$/.test(unit) && name.endsWith(`_${unit}`)) {
    text += `# UNIT ${name} ${unit}\n`;
  }
  if (help !== "") text += `# HELP ${name} ${escapeHelp(help).replaceAll('"', '\\"')}\n`;
  return text;
}

function escapeHelp(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n");
}
