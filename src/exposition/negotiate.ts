// What a scraper asks for, by its Accept and Accept-Encoding (RFC 9110, 12.5.1 and 12.5.3).
// Prometheus 2.42 sends: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,
// text/plain;version=0.0.4;q=0.5,*/*;q=0.1
// Prometheus 3 says besides how it takes names that are not its own: text/plain;version=1.0.0;escaping=allow-utf-8
// (https://prometheus.io/docs/instrumenting/content_negotiation/).

import type { Format } from "./format.ts";
import { NAME_SCHEMES, type NameScheme } from "./naming/names.ts";

interface Range {
  type: string;
  /** Without q. */
  parameters: ReadonlyMap<string, string>;
  q: number;
}

interface Offer {
  format: "json" | Format;
  type: string;
  version?: string;
  /** Only given to those who name it: a wildcard means whatever is usual. */
  named?: true;
  /** Names may be spelt as is asked for; in the others they are always spelt with underscores. */
  escapes?: true;
}

/** In the order in which they are preferred by whoever wants several alike. */
const OFFERS: readonly Offer[] = [
  { format: "json", type: "application/json", named: true },
  {
    format: "openmetrics",
    type: "application/openmetrics-text",
    version: "1.0.0",
    named: true,
    escapes: true,
  },
  { format: "text", type: "text/plain", version: "0.0.4" },
  { format: "text", type: "text/plain", version: "1.0.0", named: true, escapes: true },
];
const USUAL = OFFERS.find(({ format, version }) => format === "text" && version === "0.0.4")!;

/** Longer headers than any scraper's are not read to their end. */
const RANGES_MAX = 64;

/** What is answered with. */
export interface Negotiated<Of extends "json" | Format = "json" | Format> {
  format: Of;
  contentType: string;
  names: NameScheme;
}

/**
 * What to answer with; the text format 0.0.4 for those who want nothing that there is.
 * @param offered more than text, which is always offered
 */
export function negotiate<Offered extends "json" | "openmetrics">(
  accept: string | null,
  offered: readonly Offered[],
): Negotiated<Offered | "text"> {
  const ranges = rangesOf(accept ?? "");
  const formats: readonly string[] = [...offered, "text"];
  let best = USUAL;
  let bestQ = 0;
  let names: NameScheme | undefined;
  for (const offer of OFFERS) {
    if (!formats.includes(offer.format)) continue;
    const range = rangeFor(offer, ranges);
    if (range === undefined || range.q <= bestQ) continue;
    best = offer;
    bestQ = range.q;
    names = offer.escapes === true ? schemeOf(range) : undefined;
  }
  const parameters = [
    ...(best.version === undefined ? [] : [`version=${best.version}`, "charset=utf-8"]),
    ...(names === undefined ? [] : [`escaping=${names}`]),
  ];
  return {
    format: best.format as Offered | "text",
    contentType: [best.type, ...parameters].join("; "),
    names: names ?? "underscores",
  };
}

function schemeOf({ parameters }: Range): NameScheme | undefined {
  return NAME_SCHEMES.find((scheme) => scheme === parameters.get("escaping"));
}

/** Whether a text may be sent with gzip, and would rather be than without. */
export function acceptsGzip(acceptEncoding: string | null): boolean {
  const codings = rangesOf(acceptEncoding ?? "");
  const q = (...names: string[]) => codings.find(({ type }) => names.includes(type))?.q ?? 0;
  const gzip = q("gzip", "x-gzip");
  return gzip > 0 && gzip >= q("identity");
}

/** The range that decides about an offer. */
function rangeFor(
  { type, version, named, escapes }: Offer,
  ranges: readonly Range[],
): Range | undefined {
  let best: Range | undefined;
  let bestSpecificity = -1;
  for (const range of ranges) {
    const wanted = range.parameters.get("version");
    if (wanted !== undefined && wanted !== version) continue;
    const wildcards = named ? [] : [`${type.split("/")[0]}/*`, "*/*"];
    const distance = [type, ...wildcards].indexOf(range.type);
    if (distance < 0) continue;
    const isSpelt = range.parameters.has("escaping");
    // Without a version and without `escaping`, the oldest format is meant.
    if (type === USUAL.type && wanted === undefined && isSpelt !== (escapes ?? false)) continue;
    // What names more decides: of several alike the best.
    const own = 2 * (2 - distance) + (wanted === undefined ? 0 : 1);
    if (own < bestSpecificity || (own === bestSpecificity && range.q <= best!.q)) continue;
    bestSpecificity = own;
    best = range;
  }
  return best;
}

function rangesOf(header: string): Range[] {
  return header
    .split(",", RANGES_MAX)
    .map((part) => {
      const [type = "", ...rest] = part.split(";").map((each) => each.trim());
      const parameters = new Map<string, string>();
      for (const each of rest) {
        const [name = "", value = ""] = each.split("=", 2).map((side) => side.trim());
        parameters.set(name.toLowerCase(), value.replace(/^"(.*)"$/, "$1"));
      }
      const q = parameters.get("q");
      parameters.delete("q");
      return { type: type.toLowerCase(), parameters, q: q === undefined ? 1 : weight(q) };
    })
    .filter(({ type }) => type !== "");
}

function weight(text: string): number {
  return /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(text) ? Number(text) : 0;
}
