// A strict reader of OpenMetrics 1.0, for what microview says in it: counters, gauges, histograms, unknowns.
// https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md

export interface OpenFamily {
  type: string;
  unit: string;
  help: string;
  /** Values by sample name and labels, in the order of the text. */
  samples: Map<string, number>;
}

const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: ["_total", "_created"],
  gauge: [""],
  unknown: [""],
  histogram: ["_bucket", "_sum", "_count", "_created"],
};
const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[^"]|"(?:[^"\\\n]|\\["\\n])*")*)\} (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;
const NUMBER = /^(?:\+Inf|-Inf|NaN|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;

/** @throws Error naming the first line that is wrong */
export function parseOpenMetrics(text: string): Map<string, OpenFamily> {
  if (!text.endsWith("# EOF\n")) throw new Error("the end is missing");
  const families = new Map<string, OpenFamily>();
  const taken = new Set<string>();
  let name = "";
  let family: OpenFamily | undefined;
  for (const line of text.slice(0, -"# EOF\n".length).split("\n").slice(0, -1)) {
    const wrong = (why: string) => new Error(`${why}: ${line}`);
    if (line.startsWith("#")) {
      const [, what, of, rest] = /^# (TYPE|UNIT|HELP) (\S+) (.*)$/s.exec(line) ?? [];
      if (what === undefined || of === undefined || rest === undefined) throw wrong("no metadata");
      if (what === "TYPE") {
        if (families.has(of) || !NAME.test(of)) throw wrong("a family's name");
        const suffixes = SUFFIXES[rest];
        if (suffixes === undefined) throw wrong("an unknown type");
        for (const each of new Set(["", ...suffixes])) {
          if (taken.has(of + each)) throw wrong(`a clash of ${of + each}`);
          taken.add(of + each);
        }
        name = of;
        family = { type: rest, unit: "", help: "", samples: new Map() };
        families.set(of, family);
        continue;
      }
      if (family === undefined || of !== name || family.samples.size > 0) throw wrong("misplaced");
      if (what === "UNIT") {
        if (!name.endsWith(`_${rest}`)) throw wrong("a unit that the name does not end with");
        family.unit = rest;
      } else {
        if (/"|\\(?!["\\n])/.test(rest.replace(/\\["\\n]/g, ""))) throw wrong("a wrong escape");
        family.help = rest;
      }
      continue;
    }
    const [, sample, labels, value] = SAMPLE.exec(line) ?? [];
    if (sample === undefined || labels === undefined || value === undefined)
      throw wrong("no sample");
    if (family === undefined) throw wrong("a sample before its type");
    const suffix = SUFFIXES[family.type]!.find((each) => name + each === sample);
    if (suffix === undefined) throw wrong(`a sample that is not of ${name}`);
    if (!NUMBER.test(value)) throw wrong("no number");
    const key = `${sample}{${sortedLabels(labels, wrong)}}`;
    if (family.samples.has(key)) throw wrong("a sample stands twice");
    const number = Number(value.replace("Inf", "Infinity"));
    if (suffix !== "" && !(number >= 0)) throw wrong("a count that cannot be");
    family.samples.set(key, number);
  }
  return families;
}

function sortedLabels(text: string, wrong: (why: string) => Error): string {
  const labels = new Map<string, string>();
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const match = LABEL.exec(text);
    if (match === null) throw wrong("a wrong label");
    if (labels.has(match[1]!)) throw wrong("a label stands twice");
    labels.set(match[1]!, match[0].replace(/,$/, ""));
  }
  return [...labels.values()].sort().join(",");
}
