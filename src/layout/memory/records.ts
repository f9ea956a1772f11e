// The records of the directory, each written and read in the order of its fields.
// The agent writes them; whoever opens a pool replays them through `Directory`.

import { type ByteReader, ByteWriter, DamageError } from "../bytes.ts";
import { LIMITS, RECORD, RECORD_HEADER_BYTES } from "../constants.ts";
import { crc32 } from "../crc32.ts";
import {
  COMBINES,
  checkDefinition,
  DIALECT,
  KINDS,
  type MetricDefinition,
} from "../definitions/metric.ts";

/** Flags of a writer. */
export const WRITER_FLAGS = {
  /** Belongs to the agent: keeps what dead writers of its service have counted. */
  retained: 1,
  /** Holds no lock (the prototype's clients): lives until it is detached. */
  unlocked: 2,
} as const;

/** Whether a writer holds no lock and so never seems dead. */
export function isUnlocked({ flags }: { flags: number }): boolean {
  return (flags & WRITER_FLAGS.unlocked) !== 0;
}

/** Added to the code of how a metric combines: its names are OpenTelemetry's. */
const OPENTELEMETRY = 0x80;

/** A writer as the directory states it. */
export interface WriterRecord {
  id: number;
  service: number;
  flags: number;
  /** As the writer sees itself; another pid namespace may call it otherwise. */
  pid: number;
  threadId: number;
  startedAtMs: number;
  /** The bytes of the pool whose lock says that the writer lives. */
  lockOffset: number;
  lockBytes: number;
  /** What the secret hashes to that the writer shows to the agent; those of the agent itself have none. */
  secretHash?: Uint8Array;
}

/** Of a writer's secret: the first bytes of its SHA-256. */
export const WRITER_SECRET_HASH_BYTES = 16;

/** Consecutive series of one metric in consecutive slots of one page. */
export interface BindRecord {
  writer: number;
  firstSeries: number;
  count: number;
  page: number;
  slot: number;
}

/** Slots handed to a writer: whole pages when `slots` is 0, else part of one page. */
export interface GrantRecord {
  writer: number;
  page: number;
  pages: number;
  slot: number;
  slots: number;
}

/** Writes records one after the other; `finish` seals the one that was begun. */
export class RecordWriter {
  readonly bytes = new ByteWriter(1024);
  #start = 0;

  service(id: number, name: string): this {
    this.#begin(RECORD.service);
    this.bytes.u32(id).text(name);
    return this.#finish();
  }

  metric(id: number, service: number, metric: MetricDefinition): this {
    this.#begin(RECORD.metric);
    this.bytes
      .u32(id)
      .u32(service)
      .u8(KINDS.indexOf(metric.kind))
      .u8(COMBINES.indexOf(metric.combine) | (metric.dialect === DIALECT ? OPENTELEMETRY : 0))
      .u16(metric.labelNames.length)
      .u16(metric.bounds.length)
      .text(metric.name)
      .text(metric.unit)
      .text(metric.help);
    for (const label of metric.labelNames) this.bytes.text(label);
    for (const bound of metric.bounds) this.bytes.f64(bound);
    if (metric.logLinear !== undefined) {
      this.bytes.f64(metric.logLinear.min).f64(metric.logLinear.max).f64(metric.logLinear.error);
    }
    return this.#finish();
  }

  series(id: number, metric: number, labelValues: readonly string[]): this {
    this.#begin(RECORD.series);
    this.bytes.u32(id).u32(metric);
    for (const value of labelValues) this.bytes.text(value);
    return this.#finish();
  }

  writer(writer: WriterRecord): this {
    this.#begin(RECORD.writer);
    this.bytes
      .u32(writer.id)
      .u32(writer.service)
      .u32(writer.flags)
      .u32(writer.pid)
      .u32(writer.threadId)
      .u32(writer.lockBytes)
      .f64(writer.startedAtMs)
      .u64(writer.lockOffset);
    if (writer.secretHash !== undefined) this.bytes.raw(writer.secretHash);
    return this.#finish();
  }

  grant(grant: GrantRecord): this {
    this.#begin(RECORD.grant);
    this.bytes.u32(grant.writer).u32(grant.page).u32(grant.pages).u16(grant.slot).u16(grant.slots);
    return this.#finish();
  }

  bind(bind: BindRecord): this {
    this.#begin(RECORD.bind);
    this.bytes.u32(bind.writer).u32(bind.firstSeries).u32(bind.count).u32(bind.page).u32(bind.slot);
    return this.#finish();
  }

  release(writer: number): this {
    this.#begin(RECORD.release);
    this.bytes.u32(writer);
    return this.#finish();
  }

  /** Gives back one grant of a writer that keeps its others. */
  ungrant(writer: number, page: number, slot: number): this {
    this.#begin(RECORD.ungrant);
    this.bytes.u32(writer).u32(page).u32(slot);
    return this.#finish();
  }

  /** A metric whose name may be declared again: nobody alive writes it. */
  retire(metric: number): this {
    this.#begin(RECORD.retire);
    this.bytes.u32(metric);
    return this.#finish();
  }

  reset(): this {
    this.bytes.reset();
    return this;
  }

  #begin(type: number): void {
    this.#start = this.bytes.length;
    this.bytes.u16(type).u16(0).u32(0);
  }

  #finish(): this {
    const { bytes } = this;
    bytes.align(8);
    bytes.u16At(this.#start + 2, (bytes.length - this.#start) / 8);
    const checksum = crc32(bytes.bytes(), this.#start + RECORD_HEADER_BYTES);
    bytes.u32At(this.#start + 4, checksum);
    return this;
  }
}

export function readService(reader: ByteReader): { id: number; name: string } {
  return { id: reader.u32(), name: reader.text(LIMITS.serviceNameBytes) };
}

export function readMetric(reader: ByteReader): {
  id: number;
  service: number;
  metric: MetricDefinition;
} {
  const start = reader.position;
  const id = reader.u32();
  const service = reader.u32();
  const kind = KINDS[reader.u8()];
  const combining = reader.u8();
  const combine = COMBINES[combining & ~OPENTELEMETRY];
  if (kind === undefined || combine === undefined) {
    throw new DamageError("a metric of an unknown kind", start + 8);
  }
  const labelCount = reader.u16();
  const boundCount = reader.u16();
  if (labelCount > LIMITS.labelsPerMetric || boundCount > LIMITS.boundsPerHistogram) {
    throw new DamageError(
      `a metric with ${labelCount} labels and ${boundCount} bounds`,
      start + 10,
    );
  }
  const metric: MetricDefinition = {
    name: reader.text(LIMITS.metricNameBytes),
    kind,
    unit: reader.text(LIMITS.unitBytes),
    help: reader.text(LIMITS.helpBytes),
    labelNames: Array.from({ length: labelCount }, () => reader.text(LIMITS.labelNameBytes)),
    combine,
    bounds: Array.from({ length: boundCount }, () => reader.f64()),
  };
  if (kind === "loglinear") {
    metric.logLinear = { min: reader.f64(), max: reader.f64(), error: reader.f64() };
  }
  if ((combining & OPENTELEMETRY) !== 0) metric.dialect = DIALECT;
  try {
    checkDefinition(metric);
  } catch (error) {
    throw new DamageError((error as Error).message, start);
  }
  return { id, service, metric };
}

export function readWriter(reader: ByteReader): WriterRecord {
  const record: WriterRecord = {
    id: reader.u32(),
    service: reader.u32(),
    flags: reader.u32(),
    pid: reader.u32(),
    threadId: reader.u32(),
    lockBytes: reader.u32(),
    startedAtMs: reader.f64(),
    lockOffset: reader.u64(),
  };
  if (reader.left >= WRITER_SECRET_HASH_BYTES) {
    record.secretHash = reader.raw(WRITER_SECRET_HASH_BYTES);
  }
  return record;
}

export function readGrant(reader: ByteReader): GrantRecord {
  return {
    writer: reader.u32(),
    page: reader.u32(),
    pages: reader.u32(),
    slot: reader.u16(),
    slots: reader.u16(),
  };
}

export function readBind(reader: ByteReader): BindRecord {
  return {
    writer: reader.u32(),
    firstSeries: reader.u32(),
    count: reader.u32(),
    page: reader.u32(),
    slot: reader.u32(),
  };
}
