// What a scraper asks for, by its Accept and Accept-Encoding (RFC 9110, 12.5.1 and 12.5.3).
// Prometheus 2.42 sends: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,
// text/plain;version=0.0.4;q=0.5,*/*;q=0.1

import type { Format } from "./format.ts";

interface Range {
  type: string;
  /** Without q. */
  parameters: ReadonlyMap<string, string>;
  q: number;
}

interface Offer {
  type: string;
  version?: string;
  /** Only given to those who name it: a wildcard means whatever is usual. */
  named?: true;
}

/** In the order in which they are preferred by whoever wants several alike. */
const OFFERS: Readonly<Record<"json" | Format, Offer>> = {
  json: { type: "application/json", named: true },
  openmetrics: { type: "application/openmetrics-text", version: "1.0.0", named: true },
  text: { type: "text/plain", version: "0.0.4" },
};

/** Longer headers than any scraper's are not read to their end. */
const RANGES_MAX = 64;

/**
 * What to answer with; text for those who want nothing that there is.
 * @param offered more than text, which is always offered
 */
export function negotiate<Offered extends "json" | "openmetrics">(
  accept: string | null,
  offered: readonly Offered[],
): Offered | "text" {
  const ranges = rangesOf(accept ?? "");
  let best: Offered | "text" = "text";
  let bestQ = 0;
  for (const name of [...offered, "text"] as const) {
    const q = qualityOf(OFFERS[name], ranges);
    if (q > bestQ) {
      best = name;
      bestQ = q;
    }
  }
  return best;
}

/** Whether a text may be sent with gzip, and would rather be than without. */
export function acceptsGzip(acceptEncoding: string | null): boolean {
  const codings = rangesOf(acceptEncoding ?? "");
  const q = (...names: string[]) => codings.find(({ type }) => names.includes(type))?.q ?? 0;
  const gzip = q("gzip", "x-gzip");
  return gzip > 0 && gzip >= q("identity");
}

function qualityOf({ type, version, named }: Offer, ranges: readonly Range[]): number {
  let quality = 0;
  let specificity = -1;
  for (const range of ranges) {
    const wanted = range.parameters.get("version");
    if (wanted !== undefined && wanted !== version) continue;
    const wildcards = named ? [] : [`${type.split("/")[0]}/*`, "*/*"];
    const distance = [type, ...wildcards].indexOf(range.type);
    if (distance < 0) continue;
    // What names more decides: of several alike the best.
    const own = 2 * (2 - distance) + (wanted === undefined ? 0 : 1);
    if (own < specificity || (own === specificity && range.q <= quality)) continue;
    specificity = own;
    quality = range.q;
  }
  return quality;
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
