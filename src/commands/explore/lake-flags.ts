// What `query`, `trace` and `export` share: which lake is asked, and about which time.

import { flag, parseDurationMs, UsageError } from "../../command-line/index.ts";
import type { LakeClient, TimeRange } from "../../explore/index.ts";

const LAKE = "Lake";
const WHEN = "When";

/** What is asked about where nothing is said. */
export const DEFAULT_LAST_MS = 3_600_000;

export const LAKE_FLAGS = {
  lake: flag.parsed(parseLakeUrl, {
    group: LAKE,
    hint: "URL",
    description: "the lake to ask",
    shownDefault: "MICROVIEW_LAKE, or http://127.0.0.1:7080",
  }),
  tokenFile: flag.path({
    group: LAKE,
    description: "file whose first token the lake is sent; it needs the scope events:read",
  }),
  ca: flag.path({
    group: LAKE,
    description: "certificates to trust, PEM",
    shownDefault: "the system's",
  }),
} as const;

export const RANGE_FLAGS = {
  last: flag.duration({
    group: WHEN,
    max: "36500d",
    description: "what happened from so long ago until now",
    shownDefault: "1h",
  }),
  from: flag.parsed(parseMoment, {
    group: WHEN,
    hint: "TIME",
    description: "what happened from then on: 2026-01-31T12:00:00Z, or 2h ago",
  }),
  to: flag.parsed(parseMoment, {
    group: WHEN,
    hint: "TIME",
    description: "what happened until then, likewise",
    shownDefault: "now",
  }),
} as const;

interface LakeFlags {
  readonly lake: string | undefined;
  readonly tokenFile: string | undefined;
  readonly ca: string | undefined;
}

/** @throws UsageError, or SettingError for files that cannot be used */
export async function openLake({ lake, tokenFile, ca }: LakeFlags): Promise<LakeClient> {
  const { LakeClient, DEFAULT_LAKE_URL, lakeOptions } = await import("../../explore/index.ts");
  const { readToken } = await import("../../guard/index.ts");
  const named = process.env["MICROVIEW_LAKE"] ?? "";
  const url = lake ?? (named === "" ? DEFAULT_LAKE_URL : parseLakeUrl(named, "MICROVIEW_LAKE"));
  if (ca !== undefined && url.startsWith("http:")) {
    throw new UsageError(
      `--ca is for TLS, and the lake's address is ${url}`,
      `write https:// in --lake or MICROVIEW_LAKE, or leave --ca out`,
    );
  }
  return new LakeClient(lakeOptions(url, readToken(tokenFile, "--token-file"), ca));
}

interface RangeFlags {
  readonly last: number | undefined;
  readonly from: number | undefined;
  readonly to: number | undefined;
}

/** @throws UsageError for flags that contradict each other */
export function rangeOf(
  { last, from, to }: RangeFlags,
  defaultLastMs = DEFAULT_LAST_MS,
): TimeRange {
  if (last !== undefined && (from !== undefined || to !== undefined)) {
    throw new UsageError("--last and --from or --to are given", "give a duration or a time");
  }
  if (from !== undefined && to !== undefined && from >= to) {
    throw new UsageError("--from is not before --to", "exchange them");
  }
  const begin = from ?? (to ?? Date.now()) - (last ?? defaultLastMs);
  return {
    from: new Date(Math.max(0, begin)).toISOString(),
    ...(to === undefined ? {} : { to: new Date(to).toISOString() }),
  };
}

/** @throws UsageError unless it is a URL of http or https, of an address alone */
export function parseLakeUrl(text: string, label: string): string {
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  const how = "write http://HOST:PORT, e.g. http://127.0.0.1:7080";
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`${label} is no URL of a lake: '${text}'`, how);
  }
  // What may be a secret is not repeated.
  if (url.username !== "" || url.password !== "") {
    throw new UsageError(
      `${label} has a user or password in its URL, which a lake does not take`,
      "put the token into a file and give --token-file",
    );
  }
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    throw new UsageError(`${label} has more in its URL than an address: '${text}'`, how);
  }
  return url.origin;
}

/** A time in unix ms; a duration is so long ago. @throws UsageError */
function parseMoment(text: string, label: string): number {
  if (/^\d+(\.\d+)?\s*[a-zµμ]+$/i.test(text)) return Date.now() - parseDurationMs(text, label);
  const unixMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(unixMs)) {
    throw new UsageError(
      `${label} is no time: '${text}'`,
      "write 2026-01-31T12:00:00Z, or how long ago, e.g. 2h",
    );
  }
  return unixMs;
}
