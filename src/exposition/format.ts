// The two text formats: how a family is introduced, and what it is called.
// https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4)
// https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md (1.0)
//
// https://prometheus.io/docs/instrumenting/content_negotiation/ (1.0.0: names in quotes)
//
// Sample lines are the same in both, so that a series has one name whichever a scraper asks for.

import { familyName, sampleLead } from "./naming/names.ts";
import { counterFamilyOf } from "./naming/sample-types.ts";
import type { SampleType } from "./naming/shown.ts";

export type Format = "text" | "openmetrics";

/** What is said of a family before its samples. */
export interface FamilyHead {
  /** Of its samples; a histogram's have suffixes. */
  name: string;
  type: SampleType;
  help: string;
  unit: string;
}

/** What a format says of a family before its samples, and what it calls the moment when they began. */
interface FamilyIntroduction {
  head: string;
  /** What lines begin with that tell when a series began to count; undefined where there are none. */
  created: string | undefined;
}

export function introduce(family: FamilyHead, format: Format): FamilyIntroduction {
  return format === "openmetrics" ? openMetricsHead(family) : textHead(family);
}

/** HELP and TYPE as 0.0.4 has them, and 1.0.0. */
function textHead({ name, type, help }: FamilyHead): FamilyIntroduction {
  const shown = familyName(name);
  const head = `# HELP ${shown} ${escapeHelp(help)}\n# TYPE ${shown} ${type === "unknown" ? "untyped" : type}\n`;
  return { head, created: undefined };
}

/** What ends an OpenMetrics exposition: without it, it was cut short. */
export const OPENMETRICS_END = "# EOF\n";

/**
 * TYPE, UNIT and HELP as OpenMetrics has them. A counter's samples end in `_total`, and the family is called without it.
 * One whose name does not is of type `unknown`, which may have any name, so its series keep theirs.
 */
function openMetricsHead(family: FamilyHead): FamilyIntroduction {
  const { name, type, help, unit } = family;
  const counter = type === "counter" ? counterFamilyOf(name) : undefined;
  const shown = counter ?? name;
  const hasType = type !== "counter" || counter !== undefined;
  const hasCreated = counter !== undefined || type === "histogram";
  let head = `# TYPE ${familyName(shown)} ${hasType ? type : "unknown"}\n`;
  // Only a unit that the name ends with may be stated.
  if (unit !== "" && /^[a-zA-Z0-9_:]+$/.test(unit) && shown.endsWith(`_${unit}`)) {
    head += `# UNIT ${familyName(shown)} ${unit}\n`;
  }
  if (help !== "") {
    head += `# HELP ${familyName(shown)} ${escapeHelp(help).replaceAll('"', '\\"')}\n`;
  }
  return { head, created: hasCreated ? sampleLead(`${shown}_created`) : undefined };
}

function escapeHelp(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n");
}
