// What a dead writer has counted moves into its service's retained page, so that no total ever goes backwards.

import {
  countingSince,
  covers,
  type DirectoryMetric,
  type GrantRecord,
  type Run,
  WRITER_FLAGS,
  type Writer,
} from "../../layout/index.ts";
import { Binder } from "./binder.ts";
import { Change, type Registry } from "./registry.ts";

/** What came of folding a writer. */
interface FoldResult {
  /** Series whose counts were kept. */
  series: number;
  /** Values that no counter can have, left out so that they do not spoil the totals for good. */
  refused: number;
}

/**
 * Moves a dead writer's counters and histograms into its service's retained writer and releases it; its gauges expire
 * with it. One generation for all of it; a writer with more values than a commit carries goes grant by grant, and
 * every one of those generations has exact totals.
 * @throws LimitError when there is no room; what is not folded then stays with the writer, and is counted as before
 */
export function fold(registry: Registry, writerId: number): FoldResult {
  const result = { series: 0, refused: 0 };
  for (;;) {
    registry.reserve(foldBytesMax(registry.directory.writers.get(writerId)!));
    const writer = registry.directory.writers.get(writerId)!;
    const part =
      countableSlots(writer.runs) > registry.pool.valuesPerCommit && writer.grants.length > 1;
    foldPart(registry, writer, part ? writer.grants.at(-1) : undefined, result);
    if (!part) return result;
  }
}

function foldPart(
  registry: Registry,
  writer: Writer,
  grant: GrantRecord | undefined,
  result: FoldResult,
): void {
  const { pool } = registry;
  const change = new Change();
  let binder: Binder | undefined;
  try {
    for (const run of writer.runs.filter(isCountable)) {
      const { metric, firstSeries, count, page } = run;
      for (let i = 0; i < count; i++) {
        const slot = run.slot + i * metric.slots;
        // Series by series: a run may go on from one part of a page to the next.
        if (grant !== undefined && !covers(grant, { page, slot })) continue;
        const from = pool.slotIndexOf(page, slot);
        if (pool.slots.subarray(from, from + metric.slots).every((value) => value === 0)) continue;
        binder ??= new Binder(registry, keeperOf(registry, writer, change), change);
        const place = binder.placeOf(firstSeries + i, metric, metric.slots);
        const to = pool.slotIndexOf(place.page, place.slot);
        for (let j = 0; j < metric.slots; j++) {
          const value = pool.slots[from + j]!;
          if (canCount(metric, j, value)) {
            change.values.push({ index: to + j, value: pool.slots[to + j]! + value });
          } else {
            result.refused++;
          }
        }
        result.series++;
      }
    }
  } catch (error) {
    registry.rebuild();
    throw error;
  }
  binder?.finish();
  const freed = grant === undefined ? writer.grants : [grant];
  if (grant === undefined) change.records.release(writer.id);
  else change.records.ungrant(writer.id, grant.page, grant.slot);
  registry.commit(change, true);
  registry.forget(writer.id, freed);
}

/** Bytes of the directory that folding takes at most: the release, a retained writer, a binding and a grant per series. */
function foldBytesMax(writer: Writer): number {
  return writer.runs.reduce((sum, run) => sum + run.count * (32 + 24), 128);
}

/** The writer that keeps a service's dead counts; made when the first one dies. */
function keeperOf(registry: Registry, dead: Writer, change: Change): Writer {
  for (const writer of registry.directory.writers.values()) {
    if (writer.retained && writer.service === dead.service) return writer;
  }
  const keeper: Writer = {
    id: registry.directory.lastId.writer + 1,
    service: dead.service,
    serviceName: dead.serviceName,
    flags: WRITER_FLAGS.retained,
    retained: true,
    pid: 0,
    threadId: 0,
    // Its totals began with the first who counted.
    startedAtMs: countingSince(registry.directory).get(dead.service) ?? dead.startedAtMs,
    lockOffset: 0,
    lockBytes: 0,
    grants: [],
    runs: [],
  };
  change.records.writer(keeper);
  return keeper;
}

function isCountable(run: Run): boolean {
  return run.metric.definition.kind !== "gauge" && !run.metric.retired;
}

function countableSlots(runs: readonly Run[]): number {
  return runs.reduce((sum, run) => sum + (isCountable(run) ? run.count * run.metric.slots : 0), 0);
}

/** Counts are finite and not negative; the sum of a histogram, its last slot, may be negative. */
function canCount(metric: DirectoryMetric, slot: number, value: number): boolean {
  const isSum = metric.definition.kind !== "counter" && slot === metric.slots - 1;
  return Number.isFinite(value) && (value >= 0 || isSum);
}
