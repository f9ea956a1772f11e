// What the data plane's two sides, main thread and worker, say to each other.

import type { KnownToken } from "./tokens.ts";

/** A pool as the worker serves it: memory that the main thread keeps mapped until the worker has let go. */
export interface ServedPool {
  id: number;
  app: string;
  poolId: number;
  address: number;
  fileBytes: number;
}

export type ToWorker =
  | {
      kind: "start";
      host: string;
      port: number;
      /** Undefined when none is asked for. */
      tokens?: readonly KnownToken[];
      maxConnections: number;
      /** Of one token, and of one address. */
      maxConnectionsEach: number;
      wrongPerS: number;
      /** Everybody comes from a tunnel on this host, which has counted them by their address. */
      tunnelled: boolean;
      wakeFd: number;
      /** Int32: how many messages were posted. */
      posted: SharedArrayBuffer;
      /** Float64 by {@link DATA_COUNTERS}. */
      counters: SharedArrayBuffer;
    }
  | { kind: "add"; pool: ServedPool }
  | { kind: "drop"; id: number }
  | { kind: "tokens"; tokens: readonly KnownToken[] }
  | { kind: "stop" };

/** A connection that was not let in. */
export interface DataRefusal {
  /** By STATUS. */
  status: number;
  /** Name of the token, or `nobody`. */
  token: string;
  /** Where it comes from: the end of a tunnel, if it came through one. */
  address: string;
  port: number;
}

export type FromWorker =
  | { kind: "listening"; port: number }
  | { kind: "failed"; message: string }
  | { kind: "dropped"; id: number }
  | ({ kind: "refused" } & DataRefusal)
  | { kind: "stopped" };

/** What the worker counts. */
export const DATA_COUNTERS = {
  connections: 0,
  accepted: 1,
  refused: 2,
  denied: 3,
  requests: 4,
  bytesSent: 5,
  malformed: 6,
} as const;
export const DATA_COUNTER_COUNT = 7;
