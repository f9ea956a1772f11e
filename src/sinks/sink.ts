// What every sink does, whether it prints, stores, serves or sends what it is given. The source of frames has one sink,
// which may be a set of them (sinks.ts).

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
  /** Too much waits: a source that can wait should. Other sources go on, and the sink drops what it has no room for. */
  readonly isBehind: boolean;
  /** Nothing waits. */
  readonly isIdle: boolean;
  /**
   * Delivers what is left, and frees files, ports and the terminal. Closing again gives the same end.
   * @param graceMs how long it may wait for receivers
   */
  close(graceMs: number): Promise<SinkEnd>;
}

/** How a sink has ended. */
export interface SinkEnd {
  /** What was delivered and what was not, in a line for the person who runs it. Empty if there is nothing to say. */
  readonly summary: string;
  /** How much of what it was given it has not delivered: samples, data points, events or whole frames. */
  readonly undelivered: number;
  /** Why it could not be closed in order. */
  readonly error?: unknown;
}

/** What sinks that write text or files are made with. */
export interface SinkOptions {
  /** Receives the output, in pieces that end with a line. */
  write: (text: string) => void;
  /** Whether the receiver of the output is behind with taking it. */
  isFull?: () => boolean;
  /** Shows each writer's own values instead of their sum. */
  perWriter?: boolean;
}
