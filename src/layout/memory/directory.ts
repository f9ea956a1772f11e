// The directory as its readers hold it: replayed from the log's bytes, a tail at a time.
// Agent (recovery), collector (synchronisation) and inspect all come through here. The log may be hostile:
// what is damaged is noted with its place and stepped over, no forged number makes it allocate without end, and what
// reading costs is in proportion to the log's length, whatever stands in it.

import { ByteReader, DamageError } from "../bytes.ts";
import {
  LIMITS,
  RECORD,
  RECORD_HEADER_BYTES,
  SKIPPABLE_RECORDS,
  SLOTS_PER_PAGE,
  SLOTS_PER_PAGE_STRIDE,
} from "../constants.ts";
import { crc32 } from "../crc32.ts";
import {
  definitionConflict,
  type MetricDefinition,
  sameLabelNames,
  slotsPerSeries,
} from "../definitions/metric.ts";
import type { DirectoryMetric, Run, Writer } from "./entries.ts";
import {
  type BindRecord,
  type GrantRecord,
  readBind,
  readGrant,
  readMetric,
  readService,
  readWriter,
  WRITER_FLAGS,
} from "./records.ts";
import { SeriesTable } from "./series-table.ts";
import { Spans } from "./spans.ts";
import { runsUpTo, spanOf, WriterEntry } from "./writer-entry.ts";

/** A damaged place of the directory. */
export interface Damage {
  /** Bytes from the start of the directory's current half. */
  offset: number;
  reason: string;
}

/** Where in a series' record its metric and label values begin: behind its id. */
const KEY_OFFSET = RECORD_HEADER_BYTES + 4;
const MAX_DAMAGE_KEPT = 100;
/** Types of records that are left out and named; a log may have tens of thousands. */
const TYPES_NAMED = 8;
/** A log with more damaged places is not read on: each costs far more than a record that is well. */
const MAX_DAMAGE = 10_000;
const NO_VALUE = 0xffff_ffff;

/** Whether a log may be anybody's, or is one that this program itself makes: those have no grants. */
type LogOrigin = "pool" | "own";

/** The metrics that a service's name stands for. */
interface Named {
  definition: MetricDefinition;
  /** Those that are not retired. */
  metrics: DirectoryMetric[];
}

/** What a directory has that this version leaves out, in words; undefined when that is nothing. */
export function skippedRecords({ skipped }: Directory): string | undefined {
  if (skipped.size === 0) return undefined;
  const types = [...skipped].slice(0, TYPES_NAMED);
  const named = types.map(([type, count]) => `${count} of type 0x${type.toString(16)}`);
  const more = skipped.size - types.length;
  const rest = more === 0 ? "" : ` and ${more} more ${more === 1 ? "type" : "types"}`;
  return `records that this microview does not know are left out, a newer one wrote them: ${named.join(", ")}${rest}`;
}

/** One epoch of a pool's directory. Feed it with {@link Directory.append}; read its maps. */
export class Directory {
  readonly services = new Map<number, string>();
  readonly metrics = new Map<number, DirectoryMetric>();
  /** Writers that were not released; dead ones stay until the agent has folded them. */
  readonly writers = new Map<number, WriterEntry>();
  /** The first hundred damaged places; `damageCount` counts all. */
  readonly damage: Damage[] = [];
  damageCount = 0;
  /** Records that this version does not know and may skip: how many there are of each type. */
  readonly skipped = new Map<number, number>();
  /** Series known, bound or not. */
  seriesCount = 0;
  /** Values a snapshot of this directory has. */
  valueCount = 0;
  /** Highest ids seen, for whoever hands out the next. */
  readonly lastId = { service: 0, metric: 0, series: 0, writer: 0 };

  #log = new Uint8Array(4096);
  /** The same bytes. */
  #words = new Uint32Array(this.#log.buffer);
  #length = 0;
  #replayed = 0;
  #reader = new ByteReader(this.#log);
  #seriesRecord = new Uint32Array(64);
  #seriesValue = new Uint32Array(64).fill(NO_VALUE);
  readonly #maxValues: number;
  readonly #serviceNames = new Set<string>();
  readonly #named = new Map<string, Named>();
  readonly #series: SeriesTable;
  /** Who was granted which slots, and who has bound them; counted from the first page, 512 for each. */
  readonly #granted = new Spans<GrantRecord>();
  readonly #bound = new Spans<WriterEntry>();

  /**
   * @param epoch which writing of the log this is
   * @param pageCapacity pages of the pool, the bound on every page number
   */
  constructor(
    readonly epoch: number,
    readonly pageCapacity: number,
    readonly origin: LogOrigin = "pool",
  ) {
    // A slot holds one value; the rest is room for series whose writers are gone.
    this.#maxValues = pageCapacity * SLOTS_PER_PAGE * 4;
    this.#series = new SeriesTable({
      words: () => this.#words,
      keyStart: (series) => this.#seriesRecord[series]! + KEY_OFFSET,
      keyEnd: (series) => this.#endOfLabels(series),
    });
  }

  /** Bytes of the log taken in so far. */
  get length(): number {
    return this.#length;
  }

  /** A view of the log's bytes so far. They are never written again: whoever keeps it has what was there. */
  get log(): Uint8Array {
    return this.#log.subarray(0, this.#length);
  }

  /** Takes in the bytes that follow those it has, and replays every complete record. */
  append(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#log.length) {
      // A long log grows by a quarter: half of a doubled one would lie idle.
      const factor = length > 1 << 20 ? 1.25 : 2;
      const bytes = Math.max(length, Math.ceil(this.#log.length * factor));
      const grown = new Uint8Array(Math.ceil(bytes / 8) * 8);
      grown.set(this.log);
      this.#log = grown;
      this.#words = new Uint32Array(grown.buffer);
    }
    this.#log.set(bytes, this.#length);
    this.#length = length;
    this.#reader = new ByteReader(this.#log);
    this.#replay();
  }

  /** The metric of a series, or undefined when there is no such series. */
  metricOf(series: number): DirectoryMetric | undefined {
    return this.metrics.get(this.#metricIdOf(series));
  }

  /** Read from its record: a column of them would cost each series four bytes more. */
  #metricIdOf(series: number): number {
    const record = this.#seriesRecord[series] ?? 0;
    return record === 0 ? 0 : this.#words[(record + KEY_OFFSET) >>> 2]!;
  }

  /** Index of a series' first value in a snapshot, or -1 when it was never bound. */
  valueIndexOf(series: number): number {
    const index = this.#seriesValue[series] ?? NO_VALUE;
    return index === NO_VALUE ? -1 : index;
  }

  /** Label values of a series, in the order of its metric's label names. */
  labelValues(series: number): string[] {
    const metric = this.metricOf(series);
    if (metric === undefined) return [];
    const start = this.#seriesRecord[series]! + KEY_OFFSET + 4;
    this.#reader.seek(start, this.#length);
    return metric.definition.labelNames.map(() => this.#reader.text(LIMITS.labelValueBytes));
  }

  /**
   * Where a series' label values begin in {@link Directory.log}, each as a u16 length and UTF-8 that was checked; −1 when
   * there is no such series.
   */
  labelsOffset(series: number): number {
    if (this.metricOf(series) === undefined) return -1;
    return this.#seriesRecord[series]! + KEY_OFFSET + 4;
  }

  /** The label values of a series as they lie in the log, each a u16 length and UTF-8; empty when there is no such series. */
  labelBytes(series: number): Uint8Array {
    const start = this.labelsOffset(series);
    return start < 0 ? new Uint8Array() : this.#log.subarray(start, this.#endOfLabels(series));
  }

  /**
   * The series of a metric with some label values, or 0 when it is not known.
   * @param key the metric's id as u32, then the label values, each as a u16 length and UTF-8
   */
  seriesOf(key: Uint8Array): number {
    return this.#series.find(key);
  }

  #endOfLabels(series: number): number {
    let at = this.labelsOffset(series);
    const labels = this.metricOf(series)!.definition.labelNames.length;
    for (let i = 0; i < labels; i++) at += 2 + (this.#log[at]! | (this.#log[at + 1]! << 8));
    return at;
  }

  /** Where a writer stores a series, or undefined when it does not. */
  find(writer: Writer, series: number): { page: number; slot: number } | undefined {
    const { runs } = writer;
    const run = runs[runsUpTo(runs, series) - 1];
    if (run === undefined || series >= run.firstSeries + run.count) return undefined;
    return { page: run.page, slot: run.slot + (series - run.firstSeries) * run.metric.slots };
  }

  #replay(): void {
    while (this.#replayed + RECORD_HEADER_BYTES <= this.#length) {
      const start = this.#replayed;
      this.#reader.seek(start, this.#length);
      const type = this.#reader.u16();
      const words = this.#reader.u16();
      const checksum = this.#reader.u32();
      const end = start + words * 8;
      if (words === 0 || end > this.#length) {
        // Without a length there is no next record: the rest of this epoch is lost to readers.
        this.#note(start, `a record of ${words * 8} bytes where ${this.#length - start} are left`);
        this.#replayed = this.#length;
        return;
      }
      if (this.damageCount >= MAX_DAMAGE) {
        this.#note(start, `more than ${MAX_DAMAGE} places are damaged: the rest is not read`);
        this.#replayed = this.#length;
        return;
      }
      this.#replayed = end;
      if (crc32(this.#log, start + RECORD_HEADER_BYTES, end) !== checksum) {
        this.#note(start, `a record of type ${type} whose checksum does not match`);
        continue;
      }
      this.#reader.seek(start + RECORD_HEADER_BYTES, end);
      try {
        this.#apply(type, start);
      } catch (error) {
        if (!(error instanceof DamageError)) throw error;
        this.#note(start, error.message);
      }
    }
  }

  #apply(type: number, start: number): void {
    const reader = this.#reader;
    switch (type) {
      case RECORD.service: {
        const { id, name } = readService(reader);
        this.#checkId(id, "service", start);
        if (this.#serviceNames.has(name)) {
          throw new DamageError(`the service ${JSON.stringify(name)} is there twice`, start);
        }
        this.#serviceNames.add(name);
        this.services.set(id, name);
        return;
      }
      case RECORD.metric: {
        const { id, service, metric } = readMetric(reader);
        this.#checkId(id, "metric", start);
        if (!this.services.has(service)) {
          throw new DamageError(`a metric of the unknown service ${service}`, start);
        }
        this.#applyMetric(id, service, metric, start);
        return;
      }
      case RECORD.series:
        this.#applySeries(start);
        return;
      case RECORD.writer: {
        const record = readWriter(reader);
        const serviceName = this.services.get(record.service);
        if (serviceName === undefined || record.id === 0 || this.writers.has(record.id)) {
          throw new DamageError(`a writer ${record.id} of service ${record.service}`, start);
        }
        this.lastId.writer = Math.max(this.lastId.writer, record.id);
        const retained = (record.flags & WRITER_FLAGS.retained) !== 0;
        this.writers.set(record.id, new WriterEntry(record, serviceName, retained));
        return;
      }
      case RECORD.grant: {
        const grant = readGrant(reader);
        const whole = grant.slots === 0 && grant.slot === 0 && grant.pages > 0;
        const part =
          grant.slots > 0 && grant.pages === 1 && grant.slot + grant.slots <= SLOTS_PER_PAGE;
        if (!(whole || part) || grant.page + grant.pages > this.pageCapacity) {
          throw new DamageError(`a grant of pages that do not exist`, start);
        }
        const writer = this.#writer(grant.writer, start);
        const [from, to] = spanOf(grant);
        if (!this.#granted.add(from, to, grant)) {
          throw new DamageError(`page ${grant.page} is granted already`, start);
        }
        writer.addGrant(from, grant);
        return;
      }
      case RECORD.bind:
        this.#applyBind(readBind(reader), start);
        return;
      case RECORD.release: {
        const id = reader.u32();
        this.lastId.writer = Math.max(this.lastId.writer, id);
        for (const grant of this.writers.get(id)?.grants ?? []) this.#takeBack(grant);
        this.writers.delete(id);
        return;
      }
      case RECORD.ungrant: {
        const writer = this.#writer(reader.u32(), start);
        const page = reader.u32();
        const slot = reader.u32();
        const grant = writer.removeGrant(page * SLOTS_PER_PAGE_STRIDE + slot);
        if (grant === undefined) throw new DamageError(`page ${page} was not granted`, start);
        this.#takeBack(grant);
        return;
      }
      case RECORD.retire: {
        const metric = this.metrics.get(reader.u32());
        if (metric === undefined) throw new DamageError("an unknown metric is retired", start);
        metric.retired = true;
        this.#forget(metric);
        return;
      }
      default:
        if (type < SKIPPABLE_RECORDS) {
          throw new DamageError(`a record of the unknown type ${type}`, start);
        }
        this.skipped.set(type, (this.skipped.get(type) ?? 0) + 1);
    }
  }

  /** A name of a service has one metric, or where sets of label names are open one for each of them. */
  #applyMetric(id: number, service: number, definition: MetricDefinition, start: number): void {
    const { name } = definition;
    const key = nameKey(service, name);
    let named = this.#named.get(key);
    if (named === undefined || named.metrics.length === 0) {
      named = { definition, metrics: [] };
      this.#named.set(key, named);
    } else if (this.origin === "pool") {
      const conflict = definitionConflict(named.definition, definition);
      if (conflict !== undefined) {
        throw new DamageError(`the metric ${name} is there twice: ${conflict}`, start);
      }
      if (named.metrics.length >= LIMITS.labelSetsPerName) {
        throw new DamageError(`the metric ${name} has too many sets of label names`, start);
      }
      if (named.metrics.some((metric) => sameLabelNames(metric.definition, definition))) {
        throw new DamageError(`the metric ${name} is there twice`, start);
      }
    }
    const slots = slotsPerSeries(definition);
    const metric: DirectoryMetric = { id, service, definition, slots, retired: false, series: [] };
    named.metrics.push(metric);
    this.metrics.set(id, metric);
  }

  #forget(metric: DirectoryMetric): void {
    const named = this.#named.get(nameKey(metric.service, metric.definition.name));
    if (named !== undefined) named.metrics = named.metrics.filter((each) => each !== metric);
  }

  /** A grant has ended, and with it the bindings in it. */
  #takeBack(grant: GrantRecord): void {
    const [from, to] = spanOf(grant);
    this.#granted.clear(from, to);
    this.#bound.clear(from, to);
  }

  #applySeries(start: number): void {
    const id = this.#reader.u32();
    const metric = this.metrics.get(this.#reader.u32());
    if (metric === undefined) throw new DamageError("a series of an unknown metric", start);
    for (const _ of metric.definition.labelNames) this.#reader.skipText(LIMITS.labelValueBytes);
    const keyEnd = this.#reader.position;
    this.#checkId(id, "series", start);
    if (id >= this.#seriesRecord.length) this.#growSeries(id);
    if (this.#seriesRecord[id] !== 0) throw new DamageError(`series ${id} is there twice`, start);
    const isNew = this.#series.add(start + KEY_OFFSET, keyEnd, id, this.#length);
    if (!isNew && this.origin === "pool") {
      throw new DamageError(
        `a series of ${metric.definition.name} whose labels another has`,
        start,
      );
    }
    this.#seriesRecord[id] = start;
    this.seriesCount++;
    metric.series.push(id);
  }

  #applyBind(bind: BindRecord, start: number): void {
    const writer = this.#writer(bind.writer, start);
    const metric = this.metricOf(bind.firstSeries);
    if (metric === undefined || bind.count === 0) {
      throw new DamageError(`series ${bind.firstSeries} is bound and unknown`, start);
    }
    const end = bind.slot + bind.count * metric.slots;
    if (bind.page >= this.pageCapacity || end > SLOTS_PER_PAGE) {
      throw new DamageError(`slots ${bind.slot} to ${end} of page ${bind.page} are bound`, start);
    }
    if (this.valueCount + bind.count * metric.slots > this.#maxValues) {
      throw new DamageError("more series are bound than the pool can hold", start);
    }
    for (let i = 1; i < bind.count; i++) {
      if (this.#metricIdOf(bind.firstSeries + i) !== metric.id) {
        throw new DamageError(
          `a run of series goes beyond metric ${metric.definition.name}`,
          start,
        );
      }
    }
    if (this.origin === "pool") this.#takeSlots(writer, bind, end, start);
    // Series that were bound before, by another writer, keep their place: a run is cut where places do not follow on.
    let run: Run | undefined;
    for (let i = 0; i < bind.count; i++) {
      const series = bind.firstSeries + i;
      let valueIndex = this.#seriesValue[series]!;
      if (valueIndex === NO_VALUE) {
        valueIndex = this.valueCount;
        this.#seriesValue[series] = valueIndex;
        this.valueCount += metric.slots;
      }
      if (run !== undefined && valueIndex === run.valueIndex + run.count * metric.slots) {
        run.count++;
      } else {
        if (run !== undefined) writer.addRun(run);
        run = {
          ...bind,
          firstSeries: series,
          count: 1,
          slot: bind.slot + i * metric.slots,
          metric,
          valueIndex,
        };
      }
    }
    writer.addRun(run!);
  }

  /** Sees to it that a writer binds slots that it was granted, and nobody any slot twice. */
  #takeSlots(writer: WriterEntry, { page, slot }: BindRecord, end: number, start: number): void {
    const from = page * SLOTS_PER_PAGE_STRIDE + slot;
    const to = page * SLOTS_PER_PAGE_STRIDE + end;
    for (let at = from; at < to; ) {
      const granted = this.#granted.at(at);
      if (granted?.value.writer !== writer.id) {
        throw new DamageError(`slots of page ${page} are bound that were not granted`, start);
      }
      at = granted.end;
    }
    if (!this.#bound.add(from, to, writer)) {
      throw new DamageError(`slots of page ${page} are bound twice`, start);
    }
  }

  #writer(id: number, start: number): WriterEntry {
    const writer = this.writers.get(id);
    if (writer === undefined) throw new DamageError(`writer ${id} is unknown`, start);
    return writer;
  }

  #checkId(id: number, what: "service" | "metric" | "series", start: number): void {
    // Ids are handed out in order, so a record cannot make its reader's tables much longer than the log.
    if (id === 0 || id !== this.lastId[what] + 1 || id > LIMITS.maxId) {
      throw new DamageError(`the ${what} id ${id} does not follow ${this.lastId[what]}`, start);
    }
    this.lastId[what] = id;
  }

  #growSeries(id: number): void {
    const capacity = Math.max(id + 1, this.#seriesRecord.length * 2);
    const grow = (column: Uint32Array, fill: number) => {
      const grown = new Uint32Array(capacity).fill(fill);
      grown.set(column);
      return grown;
    };
    this.#seriesRecord = grow(this.#seriesRecord, 0);
    this.#seriesValue = grow(this.#seriesValue, NO_VALUE);
  }

  #note(offset: number, reason: string): void {
    this.damageCount++;
    if (this.damage.length < MAX_DAMAGE_KEPT) this.damage.push({ offset, reason });
  }
}

function nameKey(service: number, name: string): string {
  return `${service} ${name}`;
}

/** Whether a slot lies in a grant. */
export function covers(grant: GrantRecord, place: { page: number; slot: number }): boolean {
  if (place.page < grant.page || place.page >= grant.page + grant.pages) return false;
  return grant.slots === 0 || (place.slot >= grant.slot && place.slot < grant.slot + grant.slots);
}
