// What a directory has: metrics, and writers with what was handed to each. The directory makes them from its log, and
// readers go through them.

import type { MetricDefinition } from "../definitions/metric.ts";
import type { BindRecord, GrantRecord, WriterRecord } from "./records.ts";

/** A metric of a service. */
export interface Metric {
  readonly id: number;
  readonly service: number;
  readonly definition: MetricDefinition;
  /** Slots per series. */
  readonly slots: number;
}

/** A metric as the directory has it, which goes on growing. */
export interface DirectoryMetric extends Metric {
  /** Its name was declared again under another id. */
  retired: boolean;
  /** Ids of its series, ascending. */
  series: number[];
}

/** Consecutive series of one metric in consecutive slots of a page, and where their values go in a snapshot. */
export interface Run extends BindRecord {
  metric: DirectoryMetric;
  /** Index of the first series' first value among a snapshot's values. */
  valueIndex: number;
}

/** A writer with all that was handed to it. */
export interface Writer extends WriterRecord {
  serviceName: string;
  retained: boolean;
  grants: GrantRecord[];
  /** In the order of their first series. */
  runs: Run[];
}
