// How bytes come out of a pool: mmap on the agent's own host, verbs (one-sided RDMA READs) where both sides have a device,
// tcp from anywhere.

import type { PoolState, WirePool } from "../layout/index.ts";

/** Part of a pool's file. */
export interface ByteRange {
  offset: number;
  bytes: number;
  /** It is read when everything before it in its batch has been. */
  fence?: boolean;
}

/** Memory that a read fills: its address for the kernel, its bytes for us. */
export interface Destination {
  address: number;
  bytes: Uint8Array;
  /** What {@link Transport.pin} gave for it. */
  key?: number;
}

/** What a transport has done so far. */
export interface TransportCounters {
  /** READs, or requests. */
  requests: number;
  /** Times that something was found to be complete. */
  completions: number;
  /** Bytes of pools that were asked for. */
  bytes: number;
}

export function newCounters(): TransportCounters {
  return { requests: 0, completions: 0, bytes: 0 };
}

export type TransportName = "mmap" | "tcp" | "verbs";

/** A pool as a transport names it. */
export type RemotePool = WirePool;

/** What a read came to; `undefined` means that it is done. */
export type ReadFailure = Error | undefined;

/** The range is not there (any more): the structure moved under the read. */
export class MovedError extends Error {
  override readonly name = "MovedError";
}

/** The connection to this one pool broke; the next read makes another. */
export class BrokenError extends Error {
  override readonly name = "BrokenError";
}

/** Ends a connection; what was under way on it has failed. */
export class TransportError extends Error {
  override readonly name = "TransportError";
}

/**
 * One connection to one agent. Reads complete in the order they were started; several may be under way.
 * All calls are made from one thread.
 */
export interface Transport {
  readonly name: TransportName;
  /** What to wait for when a read is under way; −1 where every read completes at once. */
  readonly fd: number;
  /** The poll events to wait for. */
  readonly events: number;
  /** Raised by the agent when pools come or go, as far as the last answer told. */
  readonly poolsGeneration: number;
  /** Gaps between bound slots up to this are cheaper to read along than to cut out; see planRead. */
  readonly mergeGapSlots: number;
  readonly counters: TransportCounters;
  /** Whether waiting for the descriptor may be worth a moment of spinning: something is under way. */
  readonly busy?: boolean;
  /** Asks for the pools. */
  list(done: (pools: RemotePool[] | Error) => void): void;
  /** Reads ranges of a pool, one after the other, into `into` from its start. */
  read(
    pool: RemotePool,
    ranges: readonly ByteRange[],
    into: Destination,
    done: (failure: ReadFailure) => void,
  ): void;
  /** Makes memory known that reads fill again and again. @throws SystemError when it may not be pinned */
  pin?(address: number, bytes: number): { key: number; release(): void };
  /** Takes note of the state that was read of a pool. */
  observe?(pool: RemotePool, state: PoolState): void;
  /** Moves on when poll found `fd` ready. @throws TransportError when the connection is lost */
  progress(events: number): void;
  close(): void;
}
