// Every limit of an agent, with its default. A reached limit is an error with a code, and counted under that code.

import {
  ADMISSION_LIMITS,
  type AdmissionLimits,
  CONNECTION_LIMITS,
  type ConnectionLimits,
} from "../../guard/index.ts";

export interface Limits extends ConnectionLimits, AdmissionLimits {
  /** Applications, that is, pools. */
  apps: number;
  /** Applications that one token has made, or all together who need none over TCP. The socket's callers may make all. */
  appsEach: number;
  /** Pages in use in one pool, 4 KiB each. */
  pages: number;
  /** Series in one pool. */
  series: number;
  /** Series of one metric of one service: its label values. */
  seriesPerMetric: number;
  /** Living writers in one pool. */
  writers: number;
  /** Bytes of a request's body. */
  bodyBytes: number;
  /** Milliseconds after which a connection to the data port that asks for nothing makes room for others. */
  idleMs: number;
  /** Long texts of /metrics that are being taken at once. */
  scrapes: number;
}

export const DEFAULT_LIMITS: Readonly<Limits> = {
  apps: 64,
  appsEach: 16,
  pages: 65_536,
  series: 1_000_000,
  seriesPerMetric: 10_000,
  writers: 10_000,
  bodyBytes: 16 << 20,
  ...CONNECTION_LIMITS,
  idleMs: 10_000,
  scrapes: 8,
  ...ADMISSION_LIMITS,
};
