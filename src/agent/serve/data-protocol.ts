// What the data plane's two sides, main thread and worker, say to each other.

import type { KnownToken } from "../../guard/index.ts";

/** A pool as the worker serves it: memory that the main thread keeps mapped until the worker has let go. */
export interface ServedPool {
  id: number;
  app: string;
  poolId: number;
  address: number;
  fileBytes: number;
}

/** Whom the data plane admits. */
export interface DataAdmission {
  /** Undefined when none is asked for. */
  tokens?: readonly KnownToken[];
  maxConnections: number;
  /** Of one token, and of one address. */
  maxConnectionsEach: number;
  /** A connection that has been idle for this long is closed when there is no room. */
  idleMs: number;
  /** Wrong tokens per second of an address. */
  wrongPerS: number;
}

/** The same, and where it listens. */
export interface DataListenOptions extends DataAdmission {
  host: string;
  /** 0 takes any free port. */
  port: number;
}

export type ToWorker =
  | (DataListenOptions & {
      kind: "start";
      /** Everybody comes through a tunnel on this host, which begins with a preface that has this secret. */
      secret?: Uint8Array;
      wakeFd: number;
      /** Int32: how many messages were posted. */
      posted: SharedArrayBuffer;
      /** Float64 by {@link DATA_COUNTERS}. */
      counters: SharedArrayBuffer;
    })
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
  /** Connections that were closed to make room for others. */
  yielded: 7,
} as const;
export const DATA_COUNTER_COUNT = 8;

export const SECRET_BYTES = 16;
/** What stands before the address: the secret, and u16 port, u16 bytes of the address. */
export const PREFACE_BYTES = SECRET_BYTES + 4;

/** With what a tunnel begins each stream: that it is the tunnel, and whose stream it is. */
export function encodePreface(secret: Uint8Array, address: string, port: number): Uint8Array {
  const text = new TextEncoder().encode(address);
  const preface = new Uint8Array(PREFACE_BYTES + text.length);
  const view = new DataView(preface.buffer);
  preface.set(secret);
  view.setUint16(SECRET_BYTES, port, true);
  view.setUint16(SECRET_BYTES + 2, text.length, true);
  preface.set(text, PREFACE_BYTES);
  return preface;
}
