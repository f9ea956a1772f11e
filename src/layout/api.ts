// The agent's REST contract, stated once: what the client sends and the agent answers.

import type { MetricDefinition } from "./metric.ts";

/** POST /v1/apps/:app/writers */
export interface AttachRequest {
  service: string;
  pid: number;
  threadId: number;
}

/** Part of the pool handed to a writer: whole pages, or slots of one. */
export interface Extent {
  page: number;
  pages: number;
  /** First slot and number of slots when the page is shared; 0 and 0 for whole pages. */
  slot: number;
  slots: number;
}

export interface AttachResponse {
  writer: number;
  pool: {
    path: string;
    poolId: number;
    pagesOffset: number;
  };
  /** The bytes of the pool's file whose lock the writer takes and holds while it lives. */
  lock: { offset: number; bytes: number };
  extents: Extent[];
}

/** A metric with series of it, as label values in the order of the label names. */
export interface SeriesRequest extends MetricDefinition {
  series: string[][];
}

/** POST /v1/apps/:app/writers/:writer/series */
export interface RegisterRequest {
  metrics: SeriesRequest[];
}

/** Places of consecutive series of the request: [page, slot, count]. */
export type PlacedRun = [page: number, slot: number, count: number];

/** One answer per metric of the request, in its order. Series are placed up to an error. */
export interface RegisterResult {
  runs: PlacedRun[];
  error?: ApiError;
}

export interface RegisterResponse {
  results: RegisterResult[];
  /** What was handed to the writer in this call. */
  extents: Extent[];
}

/** Every error of the agent: a code for programs, a sentence and a hint for people. */
export interface ApiError {
  code: string;
  message: string;
  hint: string;
}

/** GET /health */
export interface HealthResponse {
  status: "healthy";
  version: string;
  layoutVersion: number;
  pid: number;
  uptimeS: number;
  /** Tells whether a collector is on the same host: /proc/sys/kernel/random/boot_id. */
  bootId: string;
  /** Where the pools lie when that is not /dev/shm. */
  poolDir: string | null;
  /** TCP port of the binary read protocol; 0 when it is not served. */
  dataPort: number;
  pools: { app: string; path: string; poolId: number }[];
}
