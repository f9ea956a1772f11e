// The series of one metric of a service as they are exported: what is remembered of each from one snapshot to the next,
// and what was written of its points beforehand.

import {
  type Metric,
  SCOPE_LABELS,
  type Structure,
  type StructureMetric,
  shapeOf,
} from "../../layout/index.ts";
import { type ExponentialMap, exponentialMap } from "../encoding/exponential.ts";
import type { Attributes, MetricHead, OtlpForm, Scope } from "./model.ts";

/** Series that there is room for at first: most metrics of a pool may have one, and there may be very many. */
const FIRST = 2;

const SCOPE_NAMES: readonly string[] = Object.values(SCOPE_LABELS);

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

export class Block<Table> {
  readonly head: MetricHead;
  readonly table: Table;
  count = 0;
  /** The series' ids in the structure that the block was brought up to last. */
  ids: number[] = [];
  /** Index of each series' first slot among a snapshot's values. */
  valueAt = new Int32Array(FIRST);
  /** Unix time at which each began to count. */
  startsMs = new Float64Array(FIRST);
  /** 1: a point with a value was sent, and none since that it has ended. */
  present = new Uint8Array(FIRST);

  constructor(
    readonly service: string,
    readonly scope: Scope,
    /** As that structure has it. */
    public metric: Metric,
    readonly form: OtlpForm<Table>,
    maps: Map<string, ExponentialMap>,
  ) {
    this.head = headOf(metric, maps);
    this.table = form.table(this.head);
  }

  /** Slots of a series. */
  get slots(): number {
    return this.metric.slots;
  }

  /** @param at the series' place among those of the metric */
  append(structure: Structure, entry: StructureMetric, at: number, startMs: number): void {
    const index = this.count++;
    if (index === this.present.length) this.#grow();
    this.ids.push(entry.series[at]!);
    this.valueAt[index] = entry.indexes[at]!;
    this.startsMs[index] = startMs;
    this.present[index] = 0;
    this.form.append(this.table, attributesOf(this.metric, structure.labelValues(entry, at)));
  }

  #grow(): void {
    const capacity = this.present.length * 2;
    const grown = <Column extends { set(from: Column): void }>(from: Column, to: Column) => {
      to.set(from);
      return to;
    };
    this.valueAt = grown(this.valueAt, new Int32Array(capacity));
    this.startsMs = grown(this.startsMs, new Float64Array(capacity));
    this.present = grown(this.present, new Uint8Array(capacity));
  }
}

/** The labels as attributes, but for those that say the scope. */
function attributesOf({ definition }: Metric, labelValues: readonly string[]): Attributes {
  const { labelNames, dialect } = definition;
  const all = labelNames.map((name, i) => [name, labelValues[i] ?? ""] as const);
  return dialect === undefined ? all : all.filter(([name]) => !SCOPE_NAMES.includes(name));
}

/**
 * Which library has made a series: ours, or in the dialect of OpenTelemetry the one that is named. A meter without a
 * name is a scope without one.
 */
export function scopeOf(
  { definition }: Metric,
  labelValues: readonly string[],
  ours: Scope,
): Scope {
  const { labelNames, dialect } = definition;
  if (dialect === undefined) return ours;
  const valueOfLabel = (label: string) => labelValues[labelNames.indexOf(label)];
  return {
    name: valueOfLabel(SCOPE_LABELS.name) ?? "",
    version: valueOfLabel(SCOPE_LABELS.version) ?? "",
  };
}

/** Whether a gauge is one of OpenTelemetry's UpDownCounters: a sum that may fall. */
function isUpDown({ definition: { kind, combine, dialect } }: Metric): boolean {
  return dialect !== undefined && kind === "gauge" && combine === "sum";
}

function headOf(metric: Metric, maps: Map<string, ExponentialMap>): MetricHead {
  const { name, kind, help: description, unit, bounds, dialect } = metric.definition;
  const isUcum = dialect !== undefined;
  const head = { name, description, unit: isUcum ? unit : (UNITS[unit] ?? unit) };
  switch (kind) {
    case "counter":
      return { ...head, kind: "sum", isMonotonic: true };
    case "gauge":
      return isUpDown(metric)
        ? { ...head, kind: "sum", isMonotonic: false }
        : { ...head, kind: "gauge" };
    case "histogram":
      return { ...head, kind: "histogram", bounds };
    case "loglinear":
      return { ...head, kind: "exponential", map: mapOf(metric, maps) };
  }
}

function mapOf({ definition }: Metric, maps: Map<string, ExponentialMap>): ExponentialMap {
  const { min, max, error } = definition.logLinear!;
  const key = `${min} ${max} ${error}`;
  let map = maps.get(key);
  if (map === undefined) {
    map = exponentialMap(shapeOf(definition));
    maps.set(key, map);
  }
  return map;
}
