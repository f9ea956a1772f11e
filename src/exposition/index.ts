// Prometheus exposition: what metrics are called there, both text formats of what pools hold, and how they are asked for.
//
//   const endpoint = new MetricsEndpoint({ atOnce: 8 }, { refused() {}, cut() {} });
//   const as = negotiate(request.headers.get("accept"), ["openmetrics"]);
//   endpoint.answer({ query, as, acceptEncoding }, (selection) => pools);

export { MetricsEndpoint, QueryError, type Selection } from "./endpoint.ts";
export { Exposition } from "./exposition.ts";
export type { ExposedPool } from "./families.ts";
export type { Format } from "./format.ts";
export { GzipPieces } from "./gzip.ts";
export { ClashLog } from "./naming/clash-log.ts";
export {
  escapeLabelName,
  escapeName,
  NAME_SCHEMES,
  type NameScheme,
  prometheusNames,
} from "./naming/names.ts";
export { type NamedMetric, SampleNames } from "./naming/sample-names.ts";
export {
  describeClash,
  type NameClash,
  type Shown,
} from "./naming/shown.ts";
export { acceptsGzip, negotiate } from "./negotiate.ts";
export { NUMBER_BYTES_MAX, writeNumber } from "./number-text.ts";
export { PIECE_BYTES, type ScrapeOptions } from "./scrape.ts";
export type { ScrapeEvents, ScrapeLimits } from "./scrape-limiter.ts";
export {
  type Buckets,
  escapeLabel,
  formatBound,
  formatValue,
  type ShownBuckets,
  shownBuckets,
} from "./spelling.ts";
export { WriterValues } from "./writer-values.ts";
