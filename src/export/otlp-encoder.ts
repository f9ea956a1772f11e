// Snapshots as OTLP's metrics: one resource for each service, sums with their start, histograms of both kinds.

import {
  countingSince,
  type Directory,
  type Metric,
  type MetricDefinition,
  type PoolSnapshot,
  SCOPE_LABELS,
  shapeOf,
} from "../layout/index.ts";
import { type ExponentialMap, exponentialMap, toExponential } from "./exponential.ts";
import type {
  Attributes,
  OtlpMetric,
  OtlpRequest,
  ResourceMetrics,
  Scope,
  Temporality,
} from "./otlp-model.ts";

export interface OtlpEncoderOptions {
  /** Leaves out series. */
  wanted: (service: string, metric: Metric) => boolean;
  /** What is known of a source's host and container, beside the service. */
  resourceOf: (source: string) => Attributes;
  temporality: Temporality;
  version: string;
}

/** What is remembered of a series from one export to the next. */
interface Known {
  attributes: Attributes;
  /** Undefined where it is ours. */
  scope: Scope | undefined;
  metric: Metric;
  service: string;
  startMs: number;
  lastMs: number;
  /** The slots as they were exported last. */
  before: Float64Array;
  /** A point with a value was sent, and none since that it has ended. */
  present: boolean;
  /** The export in which it was seen last. */
  round: number;
}

interface Pool {
  source: string;
  app: string;
  known: Map<string, Known>;
  directory: Directory | undefined;
  /** Names that stay when a directory is written anew, by its series. */
  keys: Map<number, string>;
  round: number;
  /** When it was exported last. */
  lastMs: number;
}

const SCOPE = "microview";
/** UCUM's names for what people write. */
const UNITS: Readonly<Record<string, string>> = {
  seconds: "s",
  milliseconds: "ms",
  microseconds: "us",
  nanoseconds: "ns",
  bytes: "By",
  percent: "%",
  ratio: "1",
};

export class OtlpEncoder {
  readonly #pools = new Map<string, Pool>();
  readonly #maps = new Map<string, ExponentialMap>();

  constructor(readonly options: OtlpEncoderOptions) {}

  /** All that a snapshot has. */
  request(snapshot: PoolSnapshot): OtlpRequest {
    const { source, app, directory } = snapshot;
    const pool = this.#poolOf(source, app);
    if (directory !== pool.directory) {
      pool.directory = directory;
      pool.keys = new Map();
    }
    pool.round++;
    const building = new Building(this, pool, this.options.resourceOf(source));
    const startsMs = countingSince(directory);
    for (const metric of directory.metrics.values()) {
      const service = directory.services.get(metric.service) ?? "";
      if (metric.retired || !this.options.wanted(service, metric)) continue;
      // A delta begins where the one before ended, also that of a series which was not there yet.
      const isDelta = this.options.temporality === "delta" && !isSum(metric);
      const isAnew = isDelta && pool.round > 1;
      const sinceMs = Math.min(
        startsMs.get(metric.service) ?? Number.POSITIVE_INFINITY,
        snapshot.takenAtMs,
      );
      const startMs = isAnew ? pool.lastMs : sinceMs;
      for (const id of metric.series) {
        const index = directory.valueIndexOf(id);
        if (index < 0 || index + metric.slots > snapshot.values.length) continue;
        const known = this.#knownOf(pool, directory, metric, service, id, startMs);
        known.round = pool.round;
        this.#add(building, known, snapshot, index, pool.round === 1);
      }
    }
    for (const [key, known] of pool.known) {
      if (known.round === pool.round) continue;
      pool.known.delete(key);
      if (known.present) building.end(known, snapshot.takenAtMs);
    }
    pool.lastMs = snapshot.takenAtMs;
    return this.#finish(building);
  }

  /** Says that an application's series have ended; undefined when none is known. */
  end(source: string, app: string, nowMs: number): OtlpRequest | undefined {
    const key = `${app} ${source}`;
    const pool = this.#pools.get(key);
    if (pool === undefined) return undefined;
    this.#pools.delete(key);
    const building = new Building(this, pool, this.options.resourceOf(source));
    for (const known of pool.known.values()) if (known.present) building.end(known, nowMs);
    return this.#finish(building);
  }

  mapOf(metric: Metric): ExponentialMap {
    const { min, max, error } = metric.definition.logLinear!;
    const key = `${min} ${max} ${error}`;
    let map = this.#maps.get(key);
    if (map === undefined) {
      map = exponentialMap(shapeOf(metric.definition));
      this.#maps.set(key, map);
    }
    return map;
  }

  #finish(building: Building): OtlpRequest {
    return { temporality: this.options.temporality, resources: building.resources() };
  }

  #add(
    building: Building,
    known: Known,
    { values, takenAtMs }: PoolSnapshot,
    index: number,
    isFirst: boolean,
  ): void {
    const { metric, before } = known;
    const now = values.slice(index, index + metric.slots);
    if (metric.definition.kind === "gauge") {
      const isPresent = !Number.isNaN(now[0]!);
      const startMs = isSum(metric) ? known.startMs : undefined;
      if (isPresent) building.number(known, now[0]!, startMs, takenAtMs);
      else if (known.present) building.end(known, takenAtMs);
      known.present = isPresent;
      return;
    }
    // What began anew counts from nothing, since the last time that it was seen.
    if (wentBack(now, before, metric)) {
      known.startMs = known.lastMs;
      before.fill(0);
    }
    const more = now.map((value, i) => value - before[i]!);
    before.set(now);
    if (this.options.temporality === "cumulative") {
      building.counted(known, now, known.startMs, takenAtMs);
      known.present = true;
    } else {
      // What was counted before the first export may have been exported by another: it is where the deltas begin.
      if (!isFirst) building.counted(known, more, known.startMs, takenAtMs);
      known.startMs = takenAtMs;
    }
    known.lastMs = takenAtMs;
  }

  #poolOf(source: string, app: string): Pool {
    const key = `${app} ${source}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = {
        source,
        app,
        known: new Map(),
        directory: undefined,
        keys: new Map(),
        round: 0,
        lastMs: 0,
      };
      this.#pools.set(key, pool);
    }
    return pool;
  }

  #knownOf(
    pool: Pool,
    directory: Directory,
    metric: Metric,
    service: string,
    id: number,
    startMs: number,
  ): Known {
    let key = pool.keys.get(id);
    if (key === undefined) {
      key = keyOf(service, metric.definition, directory.labelValues(id));
      pool.keys.set(id, key);
    }
    let known = pool.known.get(key);
    if (known === undefined) {
      const labelValues = directory.labelValues(id);
      known = {
        ...describe(metric.definition, labelValues),
        metric,
        service,
        startMs,
        lastMs: startMs,
        before: new Float64Array(metric.slots),
        present: false,
        round: 0,
      };
      pool.known.set(key, known);
    }
    known.metric = metric;
    return known;
  }
}

/** A request that grows: metrics by service and scope, and by name. */
class Building {
  readonly #parts = new Map<string, ResourceMetrics & { byName: Map<string, OtlpMetric> }>();

  constructor(
    readonly encoder: OtlpEncoder,
    readonly pool: Pool,
    readonly host: Attributes,
  ) {}

  resources(): OtlpRequest["resources"] {
    return Array.from(this.#parts.values(), ({ byName: _, ...part }) => part);
  }

  number(known: Known, value: number, startMs: number | undefined, timeMs: number): void {
    this.#push(known, { ...pointOf(known, startMs, timeMs), value });
  }

  /** A counter or histogram by its slots. */
  counted(known: Known, slots: Float64Array, startMs: number, timeMs: number): void {
    const { kind, bounds } = known.metric.definition;
    if (kind === "counter") return this.number(known, slots[0]!, startMs, timeMs);
    const point = pointOf(known, startMs, timeMs);
    const sum = slots[slots.length - 1]!;
    // Services write what they like; a count is a whole number.
    for (let i = 0; i < slots.length - 1; i++) slots[i] = wholeCount(slots[i]!);
    if (kind === "histogram") {
      const counts = slots.subarray(0, bounds.length + 1);
      this.#push(known, { ...point, sum, counts, count: counts.reduce((a, b) => a + b, 0) });
    } else {
      this.#push(known, {
        ...point,
        sum,
        ...toExponential(this.encoder.mapOf(known.metric), slots, 0),
      });
    }
  }

  end(known: Known, timeMs: number): void {
    const hasStart = known.metric.definition.kind !== "gauge" || isSum(known.metric);
    const point = pointOf(known, hasStart ? known.startMs : undefined, timeMs);
    const nothing = { value: 0, count: 0, sum: 0, zeroCount: 0, offset: 0 };
    this.#push(known, { ...point, ...nothing, counts: new Float64Array(), ended: true });
  }

  #push(known: Known, point: object): void {
    (this.#metricOf(known).points as object[]).push(point);
  }

  #metricOf({ service, scope, metric }: Known): OtlpMetric {
    const { byName, metrics } = this.#partOf(service, scope);
    const { name, kind, help: description, unit, dialect } = metric.definition;
    // Several of a name have ended and begun anew as something else.
    const key = `${kind} ${isSum(metric)} ${name}`;
    let found = byName.get(key);
    if (found === undefined) {
      const isUcum = dialect !== undefined;
      const head = { name, description, unit: isUcum ? unit : (UNITS[unit] ?? unit) };
      found = { ...head, ...dataOf(metric, this.encoder) };
      byName.set(key, found);
      metrics.push(found);
    }
    return found;
  }

  #partOf(service: string, scope: Scope | undefined) {
    const key = JSON.stringify([service, scope?.name, scope?.version]);
    let part = this.#parts.get(key);
    if (part === undefined) {
      const { pool, host, encoder } = this;
      part = {
        resource: [["service.name", service], ["service.namespace", pool.app], ...host],
        scope: scope ?? { name: SCOPE, version: encoder.options.version },
        metrics: [],
        byName: new Map(),
      };
      this.#parts.set(key, part);
    }
    return part;
  }
}

/** The labels as attributes, but for those that say the scope. */
function describe(
  { labelNames, dialect }: MetricDefinition,
  labelValues: readonly string[],
): Pick<Known, "attributes" | "scope"> {
  const all = labelNames.map((name, i) => [name, labelValues[i] ?? ""] as const);
  if (dialect === undefined) return { attributes: all, scope: undefined };
  const known = new Map(all);
  const name = known.get(SCOPE_LABELS.name);
  const version = known.get(SCOPE_LABELS.version) ?? "";
  const ofScope: readonly string[] = Object.values(SCOPE_LABELS);
  return {
    attributes: all.filter(([label]) => !ofScope.includes(label)),
    scope: name === undefined ? undefined : { name, version },
  };
}

/** Whether a gauge is one of OpenTelemetry's UpDownCounters: a sum that may fall. */
function isSum({ definition: { kind, combine, dialect } }: Metric): boolean {
  return dialect !== undefined && kind === "gauge" && combine === "sum";
}

function wholeCount(value: number): number {
  return value > 0 && value <= Number.MAX_SAFE_INTEGER ? Math.round(value) : 0;
}

function dataOf(metric: Metric, encoder: OtlpEncoder) {
  const { kind, bounds } = metric.definition;
  switch (kind) {
    case "counter":
      return { kind: "sum" as const, isMonotonic: true, points: [] };
    case "gauge":
      return isSum(metric)
        ? { kind: "sum" as const, isMonotonic: false, points: [] }
        : { kind: "gauge" as const, points: [] };
    case "histogram":
      return { kind: "histogram" as const, bounds, points: [] };
    case "loglinear": {
      const { scale, zeroThreshold } = encoder.mapOf(metric);
      return { kind: "exponential" as const, scale, zeroThreshold, points: [] };
    }
  }
}

function pointOf({ attributes }: Known, startMs: number | undefined, timeMs: number) {
  return {
    attributes,
    startNs: startMs === undefined ? undefined : nanoseconds(startMs),
    timeNs: nanoseconds(timeMs),
    ended: false,
  };
}

/** Microseconds are what a double of milliseconds holds. */
function nanoseconds(ms: number): bigint {
  return BigInt(Math.floor(ms * 1000)) * 1000n;
}

/** The sum, which is a histogram's last slot, may go either way. */
function wentBack(now: Float64Array, before: Float64Array, { definition }: Metric): boolean {
  const counts = definition.kind === "counter" ? now.length : now.length - 1;
  for (let i = 0; i < counts; i++) if (now[i]! < before[i]!) return true;
  return false;
}

function keyOf(service: string, definition: MetricDefinition, labelValues: string[]): string {
  const { name, kind, unit, bounds, logLinear, labelNames } = definition;
  return JSON.stringify([service, name, kind, unit, bounds, logLinear, labelNames, labelValues]);
}
