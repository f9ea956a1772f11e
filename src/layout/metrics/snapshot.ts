// What one read of a pool has brought: what a collector yields and a sink takes.

import type { Structure } from "./structure.ts";

/** The source of snapshots of this host's own pools. */
export const LOCAL_SOURCE = "local";

/**
 * A pool's key among those of all agents. The length keeps apart what is spelled alike: a recording may name
 * applications as it likes.
 */
export function poolKey({ source, app }: Pick<PoolSnapshot, "source" | "app">): string {
  return `${app.length} ${app}${source}`;
}

/** Numbers of a snapshot, writer by writer, as a read has brought them: they stay until the next snapshot of the pool. */
export interface CopiedSlots {
  readonly kind: "copy";
  readonly data: Float64Array;
}

/** The pool itself: its writers go on storing, so two looks may see two values. */
export interface LiveSlots {
  readonly kind: "live";
  readonly data: Float64Array;
}

/** One read of a pool: what a collector yields and a sink takes. Nobody changes it; its arrays are used again. */
export interface PoolSnapshot<Slots extends CopiedSlots | LiveSlots = CopiedSlots> {
  /** The agent it came from, as it was named: `host:port`, or {@link LOCAL_SOURCE}. */
  readonly source: string;
  readonly app: string;
  /** Counts the snapshots of this pool, from 1. */
  readonly sequence: number;
  /** Unix time of the read's start, in ms with a fraction. */
  readonly takenAtMs: number;
  /** The same moment on the collector's monotonic clock, for differences. */
  readonly monotonicNs: number;
  /** How long the read took. */
  readonly readMs: number;
  /** How late the read started after its deadline. */
  readonly latenessMs: number;
  /** Deadlines that passed without a snapshot since the one before this. */
  readonly missed: number;
  /** Why snapshots are missing before this one, when the agent was away. */
  readonly gap: string | undefined;
  readonly generation: number;
  /** What series there are, and where their values are: the same object for as long as that does not change. */
  readonly structure: Structure;
  /** The raw slots, as the structure's plan lays them out: see {@link snapshotIndex}. */
  readonly slots: Slots;
  /** Values per series, added up over writers: see {@link Gather} and {@link StructureMetric.indexes}. NaN is absent. */
  readonly values: Float64Array;
}
