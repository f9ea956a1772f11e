// What both exporters are to whoever hands them snapshots, and what they take from the command line.

import type { ExportCounters, PoolSnapshot } from "../../layout/index.ts";

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

/** How an exporter has ended. */
export interface ExportEnd {
  /** What it did, in a line. */
  summary: string;
  /** Samples that were not delivered, by now. */
  undelivered: number;
}
