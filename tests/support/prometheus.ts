// A strict reader of Prometheus's text format 0.0.4, that takes nothing the specification does not allow.
// https://prometheus.io/docs/instrumenting/exposition_formats/

export interface Family {
  type: string;
  help: string;
  /** Values by sample name and labels, e.g. `a_total{app="shop"}`, in the order of the text. */
  samples: Map<string, number>;
}

// A line ends with a line feed: every other character may stand in a text.
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ["_bucket", "_sum", "_count"],
};

/** @throws Error naming the first line that is wrong */
export function parsePrometheus(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let name = "";
  let family: Family | undefined;
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line has no end");
  for (const line of text.split("\n").slice(0, -1)) {
    const wrong = (why: string) => new Error(`${why}: ${line}`);
    const comment = /^# (HELP|TYPE) (\S+) ?(.*)$/s.exec(line);
    if (comment !== null) {
      const [, what, of, rest] = comment as unknown as [string, string, string, string];
      if (what === "HELP") {
        if (families.has(of)) throw wrong("a family stands twice");
        if (/\\(?![\\n])/.test(rest.replaceAll("\\\\", ""))) throw wrong("a wrong escape");
        name = of;
        family = { type: "", help: rest, samples: new Map() };
        families.set(of, family);
      } else {
        if (of !== name || family === undefined || family.type !== "") throw wrong("a lost TYPE");
        if (!["counter", "gauge", "histogram", "untyped"].includes(rest))
          throw wrong("an unknown type");
        family.type = rest;
      }
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (sample === null) throw wrong("no sample");
    const [, sampleName, labels = "", value] = sample as unknown as [
      string,
      string,
      string,
      string,
    ];
    if (family === undefined || family.type === "") throw wrong("a sample before its TYPE");
    const names = (SUFFIXES[family.type] ?? [""]).map((suffix) => name + suffix);
    if (!names.includes(sampleName)) throw wrong(`a sample that is not of ${name}`);
    const key = `${sampleName}{${sortedLabels(labels, wrong)}}`;
    if (family.samples.has(key)) throw wrong("a sample stands twice");
    family.samples.set(key, number(value, wrong));
  }
  for (const [each, { type, samples }] of families) {
    if (type !== "histogram") continue;
    checkHistogram(each, samples);
    // Go's parser takes what is called so for the histogram's own.
    for (const suffix of SUFFIXES["histogram"]!) {
      if (families.has(each + suffix)) throw new Error(`a clash of ${each + suffix}`);
    }
  }
  return families;
}

function sortedLabels(text: string, wrong: (why: string) => Error): string {
  const labels: string[] = [];
  for (let rest = text; rest !== ""; ) {
    const label = LABEL.exec(rest);
    if (label === null) throw wrong("a wrong label");
    if (labels.some((each) => each.startsWith(`${label[1]}=`))) throw wrong("a label stands twice");
    labels.push(`${label[1]}="${label[2]}"`);
    rest = rest.slice(label[0].length);
  }
  return labels.sort().join(",");
}

function number(text: string, wrong: (why: string) => Error): number {
  if (text === "+Inf") return Number.POSITIVE_INFINITY;
  if (text === "-Inf") return Number.NEGATIVE_INFINITY;
  if (text === "NaN") return Number.NaN;
  if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text)) throw wrong("no number");
  return Number(text);
}

/** Buckets go up, the last is +Inf, and it is the count. */
function checkHistogram(name: string, samples: ReadonlyMap<string, number>): void {
  const last = new Map<string, { le: number; count: number }>();
  for (const [key, count] of samples) {
    const le = /(?:^|[{,])le="([^"]*)"/.exec(key);
    if (le === null) continue;
    const series = key.replace(/(?<=[{,])le="[^"]*",?/, "").replace(",}", "}");
    const bound = le[1] === "+Inf" ? Number.POSITIVE_INFINITY : Number(le[1]);
    const before = last.get(series);
    if (before !== undefined && (bound <= before.le || count < before.count)) {
      throw new Error(`the buckets of ${series} do not go up`);
    }
    last.set(series, { le: bound, count });
  }
  for (const [series, { le, count }] of last) {
    if (le !== Number.POSITIVE_INFINITY) throw new Error(`${series} has no last bucket`);
    const total = samples.get(series.replace(`${name}_bucket`, `${name}_count`));
    if (total !== count)
      throw new Error(`the count of ${series} is ${total}, its buckets say ${count}`);
    if (!samples.has(series.replace(`${name}_bucket`, `${name}_sum`))) {
      throw new Error(`${series} has no sum`);
    }
  }
}
