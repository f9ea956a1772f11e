// What becomes of snapshots that are pushed: sinks count it, and agents and collectors tell it in their own metrics.

/** Protocols that snapshots are pushed by. */
export type Protocol = "otlp" | "remote-write";

/** What a sink that pushes has done. Samples are OTLP's data points. */
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
