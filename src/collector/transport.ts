// How bytes come out of a pool. Two of them exist: mmap on the agent's own host, tcp from anywhere. One-sided RDMA
// READs fit the same three calls and come third.

import type { WirePool } from "../layout/index.ts";

/** Part of a pool's file. */
export interface ByteRange {
  offset: number;
  bytes: number;
}

/** Memory that a read fills: its address for the kernel, its bytes for us. */
export interface Destination {
  address: number;
  bytes: Uint8Array;
}

/** A pool as a transport names it. */
export type RemotePool = WirePool;

/** What a read came to; `undefined` means that it is done. */
export type ReadFailure = Error | undefined;

/** The range is not there (any more): the structure moved under the read. */
export class MovedError extends Error {
  override readonly name = "MovedError";
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
  readonly name: "mmap" | "tcp";
  /** What to wait for when a read is under way; −1 where every read completes at once. */
  readonly fd: number;
  /** The poll events to wait for. */
  readonly events: number;
  /** Raised by the agent when pools come or go, as far as the last answer told. */
  readonly poolsGeneration: number;
  /** Asks for the pools. */
  list(done: (pools: RemotePool[] | Error) => void): void;
  /** Reads ranges of a pool, one after the other, into `into` from its start. */
  read(
    pool: RemotePool,
    ranges: readonly ByteRange[],
    into: Destination,
    done: (failure: ReadFailure) => void,
  ): void;
  /** Moves on when poll found `fd` ready. @throws TransportError when the connection is lost */
  progress(events: number): void;
  close(): void;
}
