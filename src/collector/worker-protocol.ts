// What the collector's two sides, main thread and reading thread, say to each other.

import type { Filter } from "./filter.ts";

/** How an agent is reached. */
export type TargetSpec =
  | { transport: "mmap"; poolDir: string | null }
  | { transport: "tcp"; host: string; port: number; token: string };

export type ToReader =
  | {
      kind: "start";
      filter: Filter;
      intervalNs: number;
      /** How many snapshots of a pool may wait for the main thread. */
      buffers: number;
      wakeFd: number;
      /** Int32: how many messages were posted. */
      posted: SharedArrayBuffer;
    }
  | { kind: "target"; target: number; spec: TargetSpec }
  | { kind: "stop" };

/** A pool of a target, under a number that the reading thread gives it. */
export interface ReadPool {
  target: number;
  pool: number;
  app: string;
  pageCapacity: number;
}

/** Why a snapshot was not taken: the consumer is slow, the structure does not stand still, or makes no sense. */
export type SkipReason = "overrun" | "unsettled" | "damaged";

export type FromReader =
  /** More of a pool's directory; `from` 0 starts it anew. */
  | { kind: "directory"; pool: ReadPool; epoch: number; from: number; bytes: Uint8Array }
  | {
      kind: "snapshot";
      pool: ReadPool;
      buffer: SharedArrayBuffer;
      /** Int32 at which 0 is stored when the buffer may be used again. */
      state: SharedArrayBuffer;
      index: number;
      generation: number;
      /** Length of the directory that the snapshot's plan is of. */
      directoryBytes: number;
      deadlineNs: number;
      startNs: number;
      endNs: number;
      startUnixMs: number;
    }
  /** A snapshot was not taken. */
  | { kind: "skipped"; target: number; app: string; reason: SkipReason; detail: string }
  | { kind: "gone"; target: number; pool: number; app: string }
  /** `pools` are those that the filter wants, at this moment. */
  | { kind: "connected"; target: number; transport: "mmap" | "tcp"; pools: number }
  | { kind: "lost"; target: number; reason: string }
  | { kind: "stopped" };
