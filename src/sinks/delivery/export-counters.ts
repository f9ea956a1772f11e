// What a sink that pushes has done so far. Agents and collectors tell it in their own metrics.

/** An item is whatever the sink sends many of: a sample, a data point of OTLP, an event. */
export interface ExportCounters {
  /** As the label `protocol` of these metrics has it, e.g. "otlp". */
  protocol: string;
  /** Items that the receiver took. */
  items: number;
  requests: number;
  /** Bytes of the requests' bodies, as sent. */
  bytes: number;
  /** Requests that were sent again. */
  retries: number;
  /** Items that the receiver refused for good. */
  refused: number;
  /** Items for which there was no room while the receiver was away. */
  dropped: number;
  /** Items that wait, and the bytes that they take. */
  waitingItems: number;
  waitingBytes: number;
}
