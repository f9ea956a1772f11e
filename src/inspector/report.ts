// A pool as a tree of plain data: applications, services, writers, metrics, series, values. What inspect prints.

import {
  type Damage,
  type DirectoryMetric,
  HistogramSlots,
  type MetricDefinition,
  skippedRecords,
  type Writer,
} from "../layout/index.ts";
import type { Consistency, PoolFile, PoolReading, WriterLife } from "./pool-file.ts";
import { ProcessFinder, type ProcessReport } from "./processes.ts";

/** Leaves out services and metrics. */
export interface ReportFilter {
  service(name: string): boolean;
  metric(name: string): boolean;
}

export interface PoolReport {
  app: string;
  path: string;
  takenAtMs: number;
  layoutVersion: number;
  /** What of the directory this version does not know, in words. */
  skipped?: string;
  poolId: number;
  createdAtMs: number;
  /** Size of the file, most of which has no memory, and the memory that it has. */
  fileBytes: number;
  memoryBytes: number;
  agent: { alive: boolean; pid: number };
  generation: number;
  consistency: Consistency;
  pages: { used: number; highWater: number; capacity: number };
  directory: { epoch: number; bytes: number; capacityBytes: number };
  /** Offsets are bytes of the file. */
  damage: Damage[];
  /** All damaged places; `damage` has the first of them. */
  damageCount: number;
  services: ServiceReport[];
}

export interface ServiceReport {
  name: string;
  writers: WriterReport[];
  /** Those that live. */
  processes: ProcessReport[];
  metrics: MetricReport[];
}

export interface WriterReport {
  id: number;
  life: WriterLife;
  pid: number;
  threadId: number;
  startedAtMs: number;
  /** Pages given to it: whole ones, or slots of one. */
  grants: { page: number; pages: number; slot: number; slots: number }[];
  series: number;
}

export interface MetricReport
  extends Pick<MetricDefinition, "name" | "kind" | "unit" | "help" | "combine" | "labelNames"> {
  slotsPerSeries: number;
  series: SeriesReport[];
}

/** `absent`: nobody alive has set it. */
export type SeriesReport = { labelValues: string[] } & (
  | { value: number }
  | { count: number; sum: number; p50: number; p90: number; p99: number }
  | { absent: true }
);

/** Describes what a reading has found. */
export function reportPool(
  pool: PoolFile,
  reading: PoolReading,
  filter: ReportFilter,
  finder = new ProcessFinder(),
): PoolReport {
  const { header } = pool;
  const { state, directory, damage } = reading;
  const directoryStart = header.directoryOffset + (state.epoch % 2) * header.directoryCapacity;
  const stat = pool.file.stat();
  const skipped = skippedRecords(directory);
  return {
    app: header.app,
    path: pool.path,
    takenAtMs: reading.takenAtMs,
    layoutVersion: header.version,
    ...(skipped === undefined ? {} : { skipped }),
    poolId: header.poolId,
    createdAtMs: header.createdAtMs,
    fileBytes: stat.bytes,
    memoryBytes: stat.allocatedBytes,
    agent: { alive: pool.agentAlive, pid: state.agentPid },
    generation: state.generation,
    consistency: reading.consistency,
    pages: {
      used: pagesUsed(directory.writers.values()),
      highWater: state.pagesHighWater,
      capacity: header.pageCapacity,
    },
    directory: {
      epoch: state.epoch,
      bytes: state.directoryBytes,
      capacityBytes: header.directoryCapacity,
    },
    damage: [
      ...directory.damage.map(({ offset, reason }) => ({
        offset: directoryStart + offset,
        reason,
      })),
      ...damage,
    ],
    damageCount: directory.damageCount + damage.length,
    services: servicesOf(pool, reading, filter, finder),
  };
}

function servicesOf(
  pool: PoolFile,
  reading: PoolReading,
  filter: ReportFilter,
  finder: ProcessFinder,
): ServiceReport[] {
  const { directory } = reading;
  const services = new Map<number, ServiceReport>();
  for (const [id, name] of directory.services) {
    if (filter.service(name)) services.set(id, { name, writers: [], processes: [], metrics: [] });
  }
  const living = new Map<ServiceReport, Writer[]>();
  for (const writer of directory.writers.values()) {
    const service = services.get(writer.service);
    if (service === undefined) continue;
    const report = reportWriter(pool, writer);
    service.writers.push(report);
    if (report.life === "alive") push(living, service, writer);
  }
  for (const [service, writers] of living) {
    service.processes = finder.of(pool, service.name, writers);
  }
  for (const metric of directory.metrics.values()) {
    if (metric.retired || !filter.metric(metric.definition.name)) continue;
    services.get(metric.service)?.metrics.push(reportMetric(reading, metric));
  }
  const byName = (a: { name: string }, b: { name: string }) => compare(a.name, b.name);
  for (const { metrics } of services.values()) metrics.sort(byName);
  return [...services.values()].sort(byName);
}

function reportWriter(pool: PoolFile, writer: Writer): WriterReport {
  const { id, pid, threadId, startedAtMs, grants, runs } = writer;
  return {
    id,
    life: pool.lifeOf(writer),
    pid,
    threadId,
    startedAtMs,
    grants: grants.map(({ page, pages, slot, slots }) => ({ page, pages, slot, slots })),
    series: runs.reduce((sum, { count }) => sum + count, 0),
  };
}

function reportMetric({ directory, values }: PoolReading, metric: DirectoryMetric): MetricReport {
  const { name, kind, unit, help, combine, labelNames } = metric.definition;
  const histogram = HistogramSlots.of(metric);
  const series = metric.series.flatMap((id): SeriesReport[] => {
    const index = directory.valueIndexOf(id);
    if (index < 0) return [];
    return [{ labelValues: directory.labelValues(id), ...valueAt(values, index, histogram) }];
  });
  series.sort((a, b) => compare(a.labelValues.join("\0"), b.labelValues.join("\0")));
  return { name, kind, unit, help, combine, labelNames, slotsPerSeries: metric.slots, series };
}

function valueAt(values: Float64Array, index: number, histogram: HistogramSlots | undefined) {
  if (histogram === undefined) {
    const value = values[index]!;
    return Number.isNaN(value) ? { absent: true as const } : { value };
  }
  const [p50, p90, p99] = histogram.quantiles(values, index, [0.5, 0.9, 0.99]);
  return {
    count: histogram.count(values, index),
    sum: histogram.sum(values, index),
    p50: p50!,
    p90: p90!,
    p99: p99!,
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Grants may overlap, in a damaged pool without end: they are merged, not walked. */
function pagesUsed(writers: Iterable<Writer>): number {
  const grants = [...writers].flatMap((writer) => writer.grants).sort((a, b) => a.page - b.page);
  let used = 0;
  let end = 0;
  for (const { page, pages } of grants) {
    used += Math.max(0, page + pages - Math.max(page, end));
    end = Math.max(end, page + pages);
  }
  return used;
}

function push<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
