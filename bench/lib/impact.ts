// What the programs of the benchmark `impact` say to each other, over HTTP on loopback.

/** What a service measures itself with. */
export type Variant = "none" | "ours" | "prom-client";

export interface ServiceOptions {
  variant: Variant;
  series: number;
  /** Of the agent, for ours. */
  socketPath: string;
  poolDir: string;
}

/** GET /stall of the service: how long its event loop stood still at most since it was asked last. */
export interface Stall {
  maxMs: number;
}

/** GET /run of the load generator: sends at a constant rate, whatever comes back. GET /flood: as many as are answered. */
export interface Load {
  port: number;
  ratePerS: number;
  seconds: number;
}

export interface LoadResult {
  answered: number;
  failed: number;
  /** From the first request to the last answer. */
  seconds: number;
  p50Us: number;
  p99Us: number;
  maxUs: number;
}

/** Metrics of a service, and series per metric: an agent takes 10,000 label values of one. */
export const SERIES_PER_METRIC = 10_000;
export const LABEL_NAMES = ["method", "route", "status", "instance"] as const;

/** Labels as services have them: 50,000 series are 8 MB of text. */
export function labelsOf(series: number): Record<(typeof LABEL_NAMES)[number], string> {
  return {
    method: series % 2 === 0 ? "GET" : "POST",
    route: `/api/v1/accounts/:account/orders/:order/items/${series}`,
    status: "200",
    instance: "checkout-7d9f8b6c5d-x2x4p",
  };
}
