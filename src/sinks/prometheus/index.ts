// Prometheus's text: printed, a whole exposition per round of snapshots, and served to scrapers.

export { ScrapeServer, type ScrapeServerOptions } from "./scrape-server.ts";
export { PrometheusSink } from "./text.ts";
