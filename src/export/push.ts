// What both exporters are to whoever hands them snapshots, and what they take from the command line.

import type { PoolSnapshot } from "../layout/index.ts";

/** Sends snapshots to a receiver. */
export interface Exporter {
  /** Takes a snapshot in; its arrays may be used again afterwards. */
  write(snapshot: PoolSnapshot): void;
  /** An application of a source has ended. */
  gone(source: string, app: string): void;
  /** What has become of it so far. */
  readonly counters: ExportCounters;
  /** Half of its room is taken by what waits: whoever can wait too should. */
  readonly isBehind: boolean;
  /** Nothing waits. */
  readonly isIdle: boolean;
  /** Sends what is left, for at most so long. */
  close(graceMs: number): Promise<ExportEnd>;
}

/** Protocols that snapshots are pushed by. */
export type Protocol = "otlp" | "remote-write";

/** What an exporter has done. Samples are OTLP's data points. */
export interface ExportCounters {
  protocol: Protocol;
  /** Samples that the receiver took. */
  samples: number;
  requests: number;
  /** Bytes of the requests' bodies, as sent. */
  bytes: number;
  /** Requests that were sent again. */
  retries: number;
  /** Samples that the receiver refused for good. */
  refused: number;
  /** Samples for which there was no room while the receiver was away. */
  dropped: number;
  /** Samples that wait, and the bytes that they take. */
  waitingSamples: number;
  waitingBytes: number;
}

/** How an exporter has ended. */
export interface ExportEnd {
  /** What it did, in a line. */
  summary: string;
  /** Samples that were not delivered, by now. */
  undelivered: number;
}
