// What every sink is, whatever becomes of what it is given: printed, kept, served or sent on. Whoever has frames gives
// them to one sink, which may be a set of them (sinks.ts).

import type { PoolSnapshot } from "../layout/index.ts";

/**
 * Takes frames as they come, from any number of agents and applications, until it is closed.
 * @typeParam Frame what it takes: a snapshot, or a batch of events or of spans
 */
export interface Sink<Frame = PoolSnapshot> {
  /** Takes a frame in. Its arrays may be used again after this returns: what is needed later is copied. */
  write(frame: Frame): void;
  /** An application of a source has ended. Without `app`: the source is away, and may come back. */
  gone(source: string, app?: string): void;
  /** So much waits that a source that can wait should. Other sources go on, and what is too much is dropped. */
  readonly isBehind: boolean;
  /** Nothing waits. */
  readonly isIdle: boolean;
  /**
   * Delivers what is left, and lets go of all it has: files, ports, the terminal. Closing again gives the same end.
   * @param graceMs how long it may wait for those who take what it has
   */
  close(graceMs: number): Promise<SinkEnd>;
}

/** How a sink has ended. */
export interface SinkEnd {
  /** What has become of it, in a line for whoever runs it; empty where there is nothing to say. */
  readonly summary: string;
  /** Samples, or snapshots, that it was given and has not delivered. */
  readonly undelivered: number;
}

/** What sinks that write text or files are made with. */
export interface SinkOptions {
  /** Receives the output, in pieces that end with a line. */
  write: (text: string) => void;
  /** Tells whether whoever receives it has more to take than it should. */
  isFull?: () => boolean;
  /** Shows each writer's own values instead of their sum. */
  perWriter?: boolean;
}
