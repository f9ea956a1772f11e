// What all sinks that send to a receiver have in common, whatever the protocol and the frames, and how their ends are
// summed up.

import type { PoolSnapshot } from "../../layout/index.ts";
import type { Sink } from "../sink.ts";
import type { ExportCounters } from "./export-counters.ts";

/** Sends frames to a receiver. */
export interface PushSink<Frame = PoolSnapshot> extends Sink<Frame> {
  /** What has become of it so far. */
  readonly counters: ExportCounters;
}

/** Host and port: the rest of a URL may tell secrets. */
export function hostOf(url: string): string {
  return new URL(url).host;
}

/** How a receiver is called in what is said. */
export function receiverAt(url: string): string {
  return `the receiver at ${hostOf(url)}`;
}

/** A sink's end in a line. @param counts by what they are of; those that are 0 are not said */
export function summaryLine(head: string, counts: Readonly<Record<string, number>>): string {
  const said = Object.entries(counts).filter(([, count]) => count > 0);
  return [head, ...said.map(([what, count]) => `${what} ${count}`)].join("; ");
}
